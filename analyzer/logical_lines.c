#include "analyzer/logical_lines.h"

#include <stdbool.h>
#include <string.h>

enum { NESTED_MAX = 64, IN_TEXT = -1 };

/* A string that is open. Of one with fields, code goes on within them. */
struct quoted {
    uint8_t quote;
    bool triple, has_fields;
    int specs;     /* format specifications that are open: `{x:>{width}}` */
    int64_t depth; /* brackets open in the field at hand, or IN_TEXT */
};

struct lexer {
    const uint8_t *begin, *at, *end;
    uint32_t *first;
    size_t count, line, start; /* from 0 */
    int64_t depth;             /* brackets open outside of strings */
    struct quoted nested[NESTED_MAX];
    size_t nesting;
};

static struct quoted *top(struct lexer *lexer)
{
    return lexer->nesting > 0 ? &lexer->nested[lexer->nesting - 1] : NULL;
}

/* A line's end is behind us: does the logical line go on? */
static void next_line(struct lexer *lexer, bool goes_on)
{
    lexer->line++;
    if (!goes_on)
        lexer->start = lexer->line;
    if (lexer->line < lexer->count)
        lexer->first[lexer->line] = (uint32_t)lexer->start + 1;
}

static bool is_line_end(uint8_t c)
{
    return c == '\n' || c == '\r';
}

/* Steps over a line's end. */
static void pass_line_end(struct lexer *lexer, bool goes_on)
{
    bool two = lexer->at[0] == '\r' && lexer->at + 1 < lexer->end && lexer->at[1] == '\n';

    lexer->at += two ? 2 : 1;
    next_line(lexer, goes_on);
}

/* At a backslash: what it joins or escapes is passed with it. */
static void pass_backslash(struct lexer *lexer)
{
    lexer->at++;
    if (lexer->at == lexer->end)
        return;
    if (is_line_end(*lexer->at))
        pass_line_end(lexer, true);
    else
        lexer->at++;
}

/* ---- strings ---- */

static bool is_identifier(uint8_t c)
{
    return c == '_' || c >= 0x80 || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

/* Is the quote that follows the end of f", rf" and the like? */
static bool has_fields(const struct lexer *lexer)
{
    const uint8_t *from = lexer->at;
    bool found = false;

    while (from > lexer->begin && is_identifier(from[-1]) && lexer->at - from < 3)
        from--;
    for (const uint8_t *letter = from; letter < lexer->at; letter++) {
        if (strchr("rbuft", *letter | 32) == NULL)
            return false;
        found |= (*letter | 32) == 'f' || (*letter | 32) == 't';
    }
    return found && lexer->at - from < 3;
}

static bool is_triple(const struct lexer *lexer)
{
    return lexer->end - lexer->at >= 3 && lexer->at[1] == *lexer->at && lexer->at[2] == *lexer->at;
}

/* At a quote in code. Nested deeper than anybody writes it, a string is taken for closed. */
static void open_string(struct lexer *lexer)
{
    struct quoted quoted = {
        .quote = *lexer->at,
        .triple = is_triple(lexer),
        .has_fields = has_fields(lexer),
        .depth = IN_TEXT,
    };

    lexer->at += quoted.triple ? 3 : 1;
    if (lexer->nesting < NESTED_MAX)
        lexer->nested[lexer->nesting++] = quoted;
}

static void text_brace(struct lexer *lexer, struct quoted *quoted)
{
    bool twice = lexer->at + 1 < lexer->end && lexer->at[1] == *lexer->at;

    if (*lexer->at == '}') {
        if (quoted->specs > 0)
            quoted->specs--; /* and with it the field */
    } else if (twice && quoted->specs == 0) {
        lexer->at++;
    } else {
        quoted->depth = 0;
    }
    lexer->at++;
}

/* A character of a string's text. */
static void lex_text(struct lexer *lexer, struct quoted *quoted)
{
    uint8_t c = *lexer->at;
    bool brace_follows = quoted->has_fields && lexer->at + 1 < lexer->end &&
                         (lexer->at[1] == '{' || lexer->at[1] == '}');

    if (c == '\\' && !brace_follows) {
        pass_backslash(lexer);
    } else if (c == quoted->quote && (!quoted->triple || is_triple(lexer))) {
        lexer->at += quoted->triple ? 3 : 1;
        lexer->nesting--;
    } else if (is_line_end(c) && !quoted->triple) {
        lexer->nesting--; /* it is not closed: no Python */
    } else if (is_line_end(c)) {
        pass_line_end(lexer, true);
    } else if (quoted->has_fields && (c == '{' || c == '}')) {
        text_brace(lexer, quoted);
    } else {
        lexer->at++;
    }
}

/* ---- code ---- */

static void pass_comment(struct lexer *lexer)
{
    while (lexer->at < lexer->end && !is_line_end(*lexer->at))
        lexer->at++;
}

static void close_bracket(struct lexer *lexer, struct quoted *quoted)
{
    int64_t *depth = quoted != NULL ? &quoted->depth : &lexer->depth;

    if (*depth > 0)
        --*depth;
    else if (quoted != NULL && *lexer->at == '}')
        quoted->depth = IN_TEXT;
    lexer->at++;
}

/* A character of code, of a field of `quoted` if that is not NULL. */
static void lex_code(struct lexer *lexer, struct quoted *quoted)
{
    uint8_t c = *lexer->at;

    if (is_line_end(c)) {
        pass_line_end(lexer, quoted != NULL || lexer->depth > 0);
    } else if (c == '\\') {
        pass_backslash(lexer);
    } else if (c == '#') {
        pass_comment(lexer);
    } else if (c == '"' || c == '\'') {
        open_string(lexer);
    } else if (c == '(' || c == '[' || c == '{') {
        ++*(quoted != NULL ? &quoted->depth : &lexer->depth);
        lexer->at++;
    } else if (c == ')' || c == ']' || c == '}') {
        close_bracket(lexer, quoted);
    } else if (c == ':' && quoted != NULL && quoted->depth == 0) {
        quoted->specs++;
        quoted->depth = IN_TEXT;
        lexer->at++;
    } else {
        lexer->at++;
    }
}

void logical_lines_find(const uint8_t *bytes, size_t size, uint32_t *first, size_t count)
{
    struct lexer lexer = {
        .begin = bytes, .at = bytes, .end = bytes + size, .first = first, .count = count};

    if (count > 0)
        first[0] = 1;
    while (lexer.at < lexer.end) {
        struct quoted *quoted = top(&lexer);

        if (quoted != NULL && quoted->depth == IN_TEXT)
            lex_text(&lexer, quoted);
        else
            lex_code(&lexer, quoted);
    }
}
