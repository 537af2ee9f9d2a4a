#include "formats/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the buffer ---- */

void text_fini(struct text *text)
{
    free(text->at);
    *text = (struct text){0};
}

void text_clear(struct text *text)
{
    text->size = 0;
}

/* Makes room for `size` more bytes and a NUL. */
static bool reserve(struct text *text, size_t size)
{
    size_t room = text->room < 64 ? 64 : text->room;
    char *at;

    if (text->failed || size > SIZE_MAX / 4 - text->size) {
        text->failed = true;
        return false;
    }
    while (room <= text->size + size)
        room *= 2;
    if (room == text->room)
        return true;
    at = realloc(text->at, room);
    if (at == NULL) {
        text->failed = true;
        return false;
    }
    text->at = at;
    text->room = room;
    return true;
}

const char *text_string(struct text *text)
{
    if (text->at == NULL && !reserve(text, 0))
        return "";
    text->at[text->size] = '\0';
    return text->at;
}

void text_add(struct text *text, const void *bytes, size_t size)
{
    if (size == 0 || !reserve(text, size))
        return;
    memcpy(text->at + text->size, bytes, size);
    text->size += size;
}

void text_add_string(struct text *text, const char *string)
{
    text_add(text, string, strlen(string));
}

void text_add_spaces(struct text *text, int count)
{
    if (count <= 0 || !reserve(text, (size_t)count))
        return;
    memset(text->at + text->size, ' ', (size_t)count);
    text->size += (size_t)count;
}

void text_add_uint(struct text *text, uint64_t value)
{
    text_add_fixed(text, value, 0);
}

void text_add_fixed(struct text *text, uint64_t value, int decimals)
{
    char digits[48];
    size_t at = sizeof digits;
    int count = 0;

    do {
        if (count == decimals && count > 0)
            digits[--at] = '.';
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
        count++;
    } while ((value != 0 || count <= decimals) && at > 1);
    text_add(text, digits + at, sizeof digits - at);
}

void text_add_format(struct text *text, const char *format, ...)
{
    va_list arguments;
    char *made = NULL;
    int size;

    va_start(arguments, format);
    size = vasprintf(&made, format, arguments);
    va_end(arguments);
    if (size < 0) {
        text->failed = true;
        return;
    }
    text_add(text, made, (size_t)size);
    free(made);
}

/* ---- characters ---- */

void text_add_character(struct text *text, uint32_t c)
{
    char bytes[4];
    size_t size = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};

    for (size_t i = size - 1; i > 0; i--) {
        bytes[i] = (char)(0x80 | (c & 0x3F));
        c >>= 6;
    }
    bytes[0] = (char)(lead[size] | c);
    text_add(text, bytes, size);
}

uint32_t text_next(const char **at, const char *end)
{
    const unsigned char *p = (const unsigned char *)*at;
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = p[0] < 0x80   ? 1
                  : p[0] < 0xC2 ? 0
                  : p[0] < 0xE0 ? 2
                  : p[0] < 0xF0 ? 3
                  : p[0] < 0xF5 ? 4
                                : 0;
    uint32_t c = size > 1 ? p[0] & (0x7Fu >> size) : p[0];

    (*at)++;
    if (size == 1)
        return c;
    if (size == 0 || size > (size_t)(end - *at) + 1)
        return TEXT_BYTE + p[0];
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return TEXT_BYTE + p[0];
        c = c << 6 | (p[i] & 0x3F);
    }
    if (c < smallest[size] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
        return TEXT_BYTE + p[0];
    *at += size - 1;
    return c;
}

int text_characters(const char *bytes, size_t size)
{
    const char *end = bytes + size;
    int count = 0;

    for (; bytes < end; count++)
        text_next(&bytes, end);
    return count;
}

struct range {
    uint32_t first;
    uint32_t last;
};

/* Controls, what reorders or hides text, line separators, and what XML forbids. */
static const struct range unprintable[] = {
    {0x0000, 0x001F}, {0x007F, 0x009F}, {0x00AD, 0x00AD},   {0x061C, 0x061C},
    {0x200B, 0x200F}, {0x2028, 0x202E}, {0x2060, 0x206F},   {0xFEFF, 0xFEFF},
    {0xFFF9, 0xFFFB}, {0xFFFE, 0xFFFF}, {0xE0000, 0xE007F}, {0x110000, UINT32_MAX},
};

bool text_is_printable(uint32_t character)
{
    if (character >= 0x20 && character < 0x7F)
        return true;
    for (size_t i = 0; i < sizeof unprintable / sizeof unprintable[0]; i++)
        if (character >= unprintable[i].first && character <= unprintable[i].last)
            return false;
    return true;
}

static void add_escape(struct text *text, uint32_t c)
{
    static const char letters[] = "\tt\nn\rr";
    const char *letter = c < 0x80 && c != 0 ? strchr(letters, (int)c) : NULL;

    if (letter != NULL && (letter - letters) % 2 == 0)
        text_add_format(text, "\\%c", letter[1]);
    else if (c >= TEXT_BYTE)
        text_add_format(text, "\\x%02x", (unsigned)(c - TEXT_BYTE));
    else if (c < 0x100)
        text_add_format(text, "\\x%02x", (unsigned)c);
    else
        text_add_format(text, c < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)c);
}

/* An empty text may have no bytes at all. */
static const char *end_of(const char *bytes, size_t size)
{
    return size > 0 ? bytes + size : bytes;
}

void text_add_printable(struct text *text, const char *bytes, size_t size)
{
    const char *end = end_of(bytes, size);

    while (bytes < end) {
        const char *start = bytes;
        uint32_t c = text_next(&bytes, end);

        if (text_is_printable(c))
            text_add(text, start, (size_t)(bytes - start));
        else
            add_escape(text, c);
    }
}

void text_add_xml(struct text *text, const char *string)
{
    static const struct {
        char character;
        const char *entity;
    } entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};

    while (*string != '\0') {
        size_t plain = strcspn(string, "&<>\"'");

        text_add(text, string, plain);
        string += plain;
        for (size_t i = 0; i < sizeof entities / sizeof entities[0]; i++)
            if (*string == entities[i].character)
                text_add_string(text, entities[i].entity);
        string += *string != '\0';
    }
}

int text_width(const char *bytes, size_t size)
{
    const char *end = end_of(bytes, size);
    int width = 0;

    while (bytes < end)
        width += text_character_width(text_next(&bytes, end));
    return width;
}

size_t text_fit(const char *bytes, size_t size, int columns)
{
    const char *at = bytes;
    const char *end = end_of(bytes, size);

    while (at < end) {
        const char *next = at;

        columns -= text_character_width(text_next(&next, end));
        if (columns < 0)
            break;
        at = next;
    }
    return (size_t)(at - bytes);
}
