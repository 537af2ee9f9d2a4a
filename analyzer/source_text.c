#include "analyzer/source_text.h"

#include <ctype.h>
#include <errno.h>
#include <iconv.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "analyzer/utf8.h"

#define BOM "\xef\xbb\xbf"
#define BOM_SIZE 3
#define ENCODING_SIZE 64

static const uint8_t replacement[] = {0xef, 0xbf, 0xbd}; /* U+FFFD */

struct source_text {
    const uint8_t *bytes; /* borrowed */
    size_t size;
    size_t *starts; /* owned; one more than lines: the end */
    size_t count;
    iconv_t converter; /* (iconv_t)-1: the text is UTF-8, or taken for it */
    char *line;        /* owned; the last line that had to be converted */
};

/* --- Lines --- */

/* Behind the line that begins at `at`. */
static size_t line_end(const uint8_t *bytes, size_t size, size_t at)
{
    while (at < size && bytes[at] != '\n' && bytes[at] != '\r')
        at++;
    if (at == size)
        return at;
    return at + 1 < size && bytes[at] == '\r' && bytes[at + 1] == '\n' ? at + 2 : at + 1;
}

static int split(struct source_text *text)
{
    size_t begin = text->size >= BOM_SIZE && memcmp(text->bytes, BOM, BOM_SIZE) == 0 ? BOM_SIZE : 0;

    for (size_t at = begin; at < text->size; at = line_end(text->bytes, text->size, at))
        text->count++;
    text->starts = calloc(text->count + 1, sizeof *text->starts);
    if (!text->starts)
        return -1;
    text->count = 0;
    for (size_t at = begin; at < text->size; at = line_end(text->bytes, text->size, at))
        text->starts[text->count++] = at;
    text->starts[text->count] = text->size;
    return 0;
}

/* Line `i`, from 0, without its end. */
static struct trace_bytes raw_line(const struct source_text *text, size_t i)
{
    struct trace_bytes line = {text->bytes + text->starts[i],
                               text->starts[i + 1] - text->starts[i]};

    while (line.size && (line.at[line.size - 1] == '\n' || line.at[line.size - 1] == '\r'))
        line.size--;
    return line;
}

/* --- Encoding --- */

static bool is_name(int c)
{
    return isalnum(c) || c == '-' || c == '_' || c == '.';
}

/* PEP 263: ^[ \t\f]*#.*?coding[:=][ \t]*([-_.a-zA-Z0-9]+) */
static bool find_cookie(struct trace_bytes line, char name[ENCODING_SIZE])
{
    static const char word[] = "coding";
    size_t at = 0, size = 0;

    while (at < line.size && (line.at[at] == ' ' || line.at[at] == '\t' || line.at[at] == '\f'))
        at++;
    if (at == line.size || line.at[at] != '#')
        return false;
    for (; at + sizeof word < line.size; at++)
        if (memcmp(line.at + at, word, sizeof word - 1) == 0 &&
            strchr(":=", line.at[at + sizeof word - 1]) && line.at[at + sizeof word - 1])
            break;
    if (at + sizeof word >= line.size)
        return false;
    for (at += sizeof word; at < line.size && (line.at[at] == ' ' || line.at[at] == '\t'); at++)
        ;
    for (; at < line.size && is_name(line.at[at]) && size + 1 < ENCODING_SIZE; at++)
        name[size++] = (char)line.at[at];
    name[size] = 0;
    return size > 0;
}

/* Is the line blank or a comment, so that a cookie may stand on the next? */
static bool is_comment(struct trace_bytes line)
{
    size_t at = 0;

    while (at < line.size && (line.at[at] == ' ' || line.at[at] == '\t' || line.at[at] == '\f'))
        at++;
    return at == line.size || line.at[at] == '#';
}

/* Python's names for encodings that iconv calls otherwise. */
static const char *iconv_name(const char *name)
{
    static const char *const names[][2] = {
        {"latin-1", "ISO-8859-1"},  {"latin_1", "ISO-8859-1"},  {"iso-latin-1", "ISO-8859-1"},
        {"latin-9", "ISO-8859-15"}, {"mac-roman", "MACINTOSH"}, {"shift_jis", "SHIFT_JIS"},
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(name, names[i][0]) == 0)
            return names[i][1];
    return name;
}

static bool is_utf8_name(const char *name)
{
    return strcasecmp(name, "utf-8") == 0 || strcasecmp(name, "utf8") == 0 ||
           strcasecmp(name, "utf_8") == 0 || strncasecmp(name, "utf-8-", 6) == 0;
}

static void find_encoding(struct source_text *text)
{
    char name[ENCODING_SIZE];
    bool found = false, has_bom = text->count && text->starts[0] == BOM_SIZE;

    for (size_t i = 0; !found && i < 2 && i < text->count; i++) {
        struct trace_bytes line = raw_line(text, i);
        found = find_cookie(line, name);
        if (!is_comment(line))
            break;
    }
    if (found && !has_bom && !is_utf8_name(name))
        text->converter = iconv_open("UTF-8", iconv_name(name));
}

struct source_text *source_text_new(const uint8_t *bytes, size_t size)
{
    struct source_text *text = calloc(1, sizeof *text);

    if (!text)
        return NULL;
    *text = (struct source_text){.bytes = bytes, .size = size, .converter = (iconv_t)-1};
    if (split(text) < 0) {
        free(text);
        return NULL;
    }
    find_encoding(text);
    return text;
}

void source_text_free(struct source_text *text)
{
    if (!text)
        return;
    if (text->converter != (iconv_t)-1)
        iconv_close(text->converter);
    free(text->starts);
    free(text->line);
    free(text);
}

size_t source_text_line_count(const struct source_text *text)
{
    return text->count;
}

/* --- Text --- */

/* No encoding of source makes more than this of a byte. */
#define GROWTH 4

static int convert(struct source_text *text, struct trace_bytes line, struct trace_bytes *out)
{
    size_t room = line.size < SIZE_MAX / GROWTH - 16 ? GROWTH * line.size + 16 : 0,
           left = line.size, start = room;
    char *from = (char *)line.at, *to = text->line = room ? malloc(room) : NULL;

    if (!text->line)
        return -1;
    iconv(text->converter, NULL, NULL, NULL, NULL);
    while (left && iconv(text->converter, &from, &left, &to, &room) == (size_t)-1) {
        if (errno == E2BIG || room < sizeof replacement)
            break;
        memcpy(to, replacement, sizeof replacement);
        to += sizeof replacement;
        room -= sizeof replacement;
        from++;
        left--;
    }
    *out = (struct trace_bytes){(uint8_t *)text->line, start - room};
    return 0;
}

int source_text_line(struct source_text *text, uint64_t line, struct trace_bytes *out)
{
    *out = (struct trace_bytes){(const uint8_t *)"", 0};
    free(text->line);
    text->line = NULL;
    if (line == 0 || line > text->count)
        return 0;
    *out = raw_line(text, (size_t)line - 1);
    if (text->converter != (iconv_t)-1)
        return convert(text, *out, out);
    if (utf8_is_valid(*out))
        return 0;
    text->line = utf8_clean(*out, &out->size);
    out->at = (const uint8_t *)text->line;
    return text->line ? 0 : -1;
}
