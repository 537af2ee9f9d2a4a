/* source_text.h - a source text as CPython reads it: its lines, and what they say in UTF-8. */
#ifndef ANALYZER_SOURCE_TEXT_H
#define ANALYZER_SOURCE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "formats/trace/decode.h"

struct source_text;

/* Splits the bytes, which must outlive the result, at \n, \r\n and \r and finds the encoding (byte
 * order mark, PEP 263). NULL: no memory. */
struct source_text *source_text_new(const uint8_t *bytes, size_t size);
void source_text_free(struct source_text *text);

size_t source_text_line_count(const struct source_text *text);

/* The line (from 1) without its end, in UTF-8, with U+FFFD for what is not in the encoding. Empty
 * if there is no such line. Good until the next call. 0, or -1: no memory. */
int source_text_line(struct source_text *text, uint64_t line, struct trace_bytes *out);

#endif
