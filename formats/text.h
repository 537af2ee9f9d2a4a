/* text.h - text for people: buffers that grow, characters and their widths, names made safe to
 * show.
 *
 * Names and source text come from strangers. What is added with text_add_printable() is valid UTF-8
 * on one line and cannot move a terminal's cursor, reorder what follows or end an XML document:
 * every other byte or character appears as an escape. Nothing here depends on the locale.
 */
#ifndef FORMATS_TEXT_H
#define FORMATS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A text under construction; all zeros is an empty one. When memory runs out `failed` is set and
 * additions are lost. */
struct text {
    char *at; /* owned; not terminated: use text_string() */
    size_t size;
    size_t room;
    bool failed;
};

void text_fini(struct text *text);
void text_clear(struct text *text);

/* The text with a NUL behind it, good until the next addition. */
const char *text_string(struct text *text);

void text_add(struct text *text, const void *bytes, size_t size);
void text_add_string(struct text *text, const char *string);
void text_add_character(struct text *text, uint32_t character);
void text_add_spaces(struct text *text, int count);
void text_add_uint(struct text *text, uint64_t value);

/* value / 10^decimals, as in "12.345". */
void text_add_fixed(struct text *text, uint64_t value, int decimals);

void text_add_format(struct text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The bytes with escapes (\n, \x1b, \u202e, \udc80) for what is not printable or not UTF-8. */
void text_add_printable(struct text *text, const char *bytes, size_t size);

/* Printable text with & < > " ' as XML entities. */
void text_add_xml(struct text *text, const char *string);

/* Reads the character at *at, which is before `end`, and moves behind it. A byte that is not part
 * of UTF-8 is TEXT_BYTE + its value, one of a surrogate's three bytes included. */
#define TEXT_BYTE 0x200000u
uint32_t text_next(const char **at, const char *end);

/* How many characters those bytes are. */
int text_characters(const char *bytes, size_t size);

/* May it be shown as it is? False for controls, for what reorders or hides text, and for TEXT_BYTE.
 */
bool text_is_printable(uint32_t character);

/* Columns that a printable character takes on a terminal: 0, 1 or 2. */
int text_character_width(uint32_t character);

/* Columns of printable text. */
int text_width(const char *bytes, size_t size);

/* Bytes at the start of printable text that fit into `columns`. */
size_t text_fit(const char *bytes, size_t size, int columns);

#endif
