/* python_regex.h - Python's regular expressions on top of POSIX's, as far as "does it match
 * somewhere" needs them.
 *
 * Understood besides POSIX extended ones: \d \D \s \S \w \W \b \B \A \Z also in brackets where they
 * may be, other escaped characters, (?:…), (?P<name>…), (?i) at the start, lazy quantifiers and
 * braces that are no repetition. Lookaround and back references by name are refused.
 */
#ifndef FORMATS_PYTHON_REGEX_H
#define FORMATS_PYTHON_REGEX_H

#include <regex.h>

struct error;

/* Compiles `pattern`; regfree() is due after success. -1 with a usage error about `option` in *err.
 */
int python_regex_compile(regex_t *regex, const char *pattern, const char *option,
                         struct error *err);

#endif
