/* utf8.h - bytes that should be UTF-8. */
#ifndef ANALYZER_UTF8_H
#define ANALYZER_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/trace/decode.h"

bool utf8_is_valid(struct trace_bytes bytes);

/* A copy in which each byte that is not part of valid UTF-8 is U+FFFD; not NUL-terminated, *size
 * bytes, to be freed. NULL: no memory. */
char *utf8_clean(struct trace_bytes bytes, size_t *size);

#endif
