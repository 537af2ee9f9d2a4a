/* pattern.h - which files a run or a report is about: the --include and --exclude patterns.
 *
 * A pattern is a glob (fnmatch, `*` matches `/` too) on the absolute path; one without `/` is
 * matched against the base name; after `re:` it is a POSIX extended regular expression, searched
 * anywhere in the path. The last pattern that matches decides; if none does, the file is included
 * unless there are only --include patterns. Recorder and analyzer share this, so that excluding
 * while recording and while analyzing mean the same. Characters are those of UTF-8, in any locale.
 */
#ifndef FORMATS_TRACE_PATTERN_H
#define FORMATS_TRACE_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

/* Where fnmatch and regular expressions know the characters of names. */
#define PATTERN_LOCALE "C.UTF-8"

struct pattern_list;

/* NULL: out of memory. */
struct pattern_list *pattern_list_new(void);
void pattern_list_free(struct pattern_list *list);

/* Adds a pattern (copied). 0, or -1 with the reason in `why` (a regular expression that does not
 * compile). */
int pattern_list_add(struct pattern_list *list, bool include, const char *pattern, char *why,
                     size_t why_size);

bool pattern_list_is_empty(const struct pattern_list *list);

/* Is the file at `path` included? True for an empty list. */
bool pattern_list_includes(const struct pattern_list *list, const char *path);

/* Does this one pattern match, in the locale of the process? An uncompilable regular expression
 * matches nothing. */
bool pattern_matches(const char *pattern, const char *path);

#endif
