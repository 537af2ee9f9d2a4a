/* stats_restrict.c - fewer rows, by pstats' rules: each restriction takes what the one before left.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/error.h"
#include "formats/format.h"
#include "formats/python_regex.h"
#include "formats/stats.h"

static const char option[] = "restrict";

/* One of --restrict. */
struct restriction {
    enum { COUNT, FRACTION, REGEX } kind;
    unsigned long long count;
    double fraction;
    regex_t regex;
};

static bool is_number(const char *word)
{
    size_t digits = strspn(word, "0123456789");

    return digits > 0 && word[digits] == '\0';
}

/* Whole numbers count, other numbers are a part, all else is an expression. */
static int read_restriction(const char *word, struct restriction *restriction, struct error *err)
{
    char *end;

    if (is_number(word)) {
        restriction->kind = COUNT;
        restriction->count = strtoull(word, NULL, 10);
        return 0;
    }
    restriction->fraction = strtod(word, &end);
    if (end != word && *end == '\0') {
        restriction->kind = FRACTION;
        if (!(restriction->fraction >= 0 && restriction->fraction <= 1))
            return error_set_usage(err, "--%s: '%s' is no part from 0 to 1", option, word);
        return 0;
    }
    restriction->kind = REGEX;
    return python_regex_compile(&restriction->regex, word, option, err);
}

static void free_restriction(struct restriction *restriction)
{
    if (restriction->kind == REGEX)
        regfree(&restriction->regex);
}

int stats_check_restricts(const struct format_options *options, struct error *err)
{
    for (const char *const *word = options->restricts; word != NULL && *word != NULL; word++) {
        struct restriction restriction;

        if (read_restriction(*word, &restriction, err) < 0)
            return -1;
        free_restriction(&restriction);
    }
    return 0;
}

/* ---- the restriction as Python writes it ---- */

/* The shortest digits that give the number again. */
static void add_fraction(struct text *title, double fraction)
{
    char digits[40];

    for (int precision = 1; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, fraction);
        if (strtod(digits, NULL) == fraction)
            break;
    }
    text_add_string(title, digits);
    if (strcspn(digits, ".e") == strlen(digits))
        text_add_string(title, ".0");
}

static void add_quoted(struct text *title, const char *word)
{
    const char *quote = strchr(word, '\'') != NULL && strchr(word, '"') == NULL ? "\"" : "'";

    text_add_string(title, quote);
    for (; *word != '\0'; word++) {
        size_t plain = strcspn(word, "\\'");

        text_add_printable(title, word, plain);
        word += plain;
        if (*word == '\0')
            break;
        text_add_string(title, *word == '\\' || *quote == '\'' ? "\\" : "");
        text_add(title, word, 1);
    }
    text_add_string(title, quote);
}

static void add_reduction(struct text *title, const struct restriction *restriction,
                          const char *word, size_t before, size_t after)
{
    text_add_format(title, "   List reduced from %zu to %zu due to restriction <", before, after);
    if (restriction->kind == REGEX)
        add_quoted(title, word);
    else if (restriction->kind == FRACTION)
        add_fraction(title, restriction->fraction);
    else
        text_add_uint(title, restriction->count);
    text_add_string(title, ">\n");
}

/* ---- applying ---- */

static size_t keep_matching(const regex_t *regex, const struct stats_row **rows, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++)
        if (regexec(regex, rows[i]->label, 0, NULL, 0) == 0)
            rows[kept++] = rows[i];
    return kept;
}

static size_t restrict_rows(const struct restriction *restriction, const struct stats_row **rows,
                            size_t count)
{
    switch (restriction->kind) {
    case COUNT:
        return restriction->count < count ? (size_t)restriction->count : count;
    case FRACTION:
        return restriction->fraction < 1 ? (size_t)((double)count * restriction->fraction + .5)
                                         : count;
    default:
        return keep_matching(&restriction->regex, rows, count);
    }
}

int stats_restrict(const struct stats_row **rows, size_t *count,
                   const struct format_options *options, struct text *title, struct error *err)
{
    for (const char *const *word = options->restricts; word != NULL && *word != NULL; word++) {
        struct restriction restriction;
        size_t before = *count;

        if (read_restriction(*word, &restriction, err) < 0)
            return -1;
        *count = restrict_rows(&restriction, rows, before);
        if (*count != before)
            add_reduction(title, &restriction, *word, before, *count);
        free_restriction(&restriction);
    }
    return 0;
}
