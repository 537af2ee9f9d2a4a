#include "formats/python_regex.h"

#include <ctype.h>
#include <string.h>

#include "formats/error.h"
#include "formats/text.h"

/* A pattern being translated. */
struct translation {
    const char *at; /* of the pattern */
    struct text out;
    const char *trouble; /* NULL: none so far */
    int flags;           /* of regcomp() */
};

/* What a class is in brackets, and what its opposite is outside; the rest is the C library's. */
static const struct {
    char letter;
    const char *bracketed, *plain;
} classes[] = {
    {'d', "0-9", "[0-9]"},
    {'D', NULL, "[^0-9]"},
    {'s', "[:space:]", "[[:space:]]"},
    {'S', NULL, "[^[:space:]]"},
    {'w', "[:alnum:]_", "[[:alnum:]_]"},
    {'W', NULL, "[^[:alnum:]_]"},
};

/* Characters that have no letter of their own in a pattern. */
static char control(char letter)
{
    static const char letters[] = "nrtfva", controls[] = "\n\r\t\f\v\a";
    const char *found = letter == '\0' ? NULL : strchr(letters, letter);

    return found != NULL ? controls[found - letters] : letter;
}

/* Behind a backslash, outside brackets. */
static void translate_escape(struct translation *t)
{
    char letter = *t->at++;

    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (classes[i].letter == letter) {
            text_add_string(&t->out, classes[i].plain);
            return;
        }
    }
    if (letter == 'A' || letter == 'Z') {
        text_add_string(&t->out, letter == 'A' ? "^" : "$");
    } else if (letter == 'b' || letter == 'B' || ispunct((unsigned char)letter)) {
        text_add_format(&t->out, "\\%c", letter);
    } else if (letter == '\0') {
        t->trouble = "a backslash is last";
        t->at--;
    } else if (isdigit((unsigned char)letter)) {
        t->trouble = "back references are not possible";
    } else {
        letter = control(letter);
        text_add(&t->out, &letter, 1);
    }
}

static void translate_bracket_escape(struct translation *t)
{
    char letter = *t->at++;

    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (classes[i].letter != letter)
            continue;
        if (classes[i].bracketed == NULL)
            t->trouble = "\\D, \\S and \\W are not possible in brackets";
        else
            text_add_string(&t->out, classes[i].bracketed);
        return;
    }
    if (letter == '\0') {
        t->trouble = "a bracket is not closed";
        t->at--;
        return;
    }
    letter = control(letter);
    if (strchr("]^-", letter) != NULL)
        text_add_format(&t->out, "[.%c.]", letter);
    else
        text_add(&t->out, &letter, 1);
}

/* Behind the opening one. */
static void translate_brackets(struct translation *t)
{
    text_add_string(&t->out, "[");
    if (*t->at == '^')
        text_add(&t->out, t->at++, 1);
    if (*t->at == ']')
        text_add(&t->out, t->at++, 1);
    while (*t->at != ']' && *t->at != '\0' && t->trouble == NULL) {
        if (*t->at != '\\') {
            text_add(&t->out, t->at++, 1);
        } else {
            t->at++;
            translate_bracket_escape(t);
        }
    }
    if (*t->at == '\0')
        t->trouble = "a bracket is not closed";
    else
        text_add(&t->out, t->at++, 1);
}

/* Behind "(?". */
static void translate_group(struct translation *t)
{
    if (*t->at == ':') {
        t->at++;
    } else if (strncmp(t->at, "P<", 2) == 0 && strchr(t->at, '>') != NULL) {
        t->at = strchr(t->at, '>') + 1;
    } else {
        t->trouble = "of (?…) only (?:…), (?P<name>…) and a leading (?i) are possible";
        return;
    }
    text_add_string(&t->out, "(");
}

/* At "{": Python takes it for itself unless it is a repetition. */
static void translate_brace(struct translation *t)
{
    const char *end = t->at + 1 + strspn(t->at + 1, "0123456789,");
    bool repeats = *end == '}' && end > t->at + 1 && end[-1] != '{';

    text_add_string(&t->out, repeats ? "{" : "\\{");
    t->at++;
}

static void translate_one(struct translation *t)
{
    if (*t->at == '\\') {
        t->at++;
        translate_escape(t);
    } else if (*t->at == '[') {
        t->at++;
        translate_brackets(t);
    } else if (strncmp(t->at, "(?", 2) == 0) {
        t->at += 2;
        translate_group(t);
    } else if (*t->at == '{') {
        translate_brace(t);
    } else {
        bool quantifier = strchr("*+?}", *t->at) != NULL;

        text_add(&t->out, t->at++, 1);
        if (quantifier && *t->at == '?') /* lazy: no matter, if only whether it matches is asked */
            t->at++;
    }
}

int python_regex_compile(regex_t *regex, const char *pattern, const char *option, struct error *err)
{
    struct translation t = {.at = pattern, .flags = REG_EXTENDED | REG_NOSUB};
    char reason[128] = "";
    int code = 0;

    if (strncmp(t.at, "(?i)", 4) == 0) {
        t.flags |= REG_ICASE;
        t.at += 4;
    }
    while (*t.at != '\0' && t.trouble == NULL)
        translate_one(&t);
    if (t.trouble == NULL && !t.out.failed)
        code = regcomp(regex, text_string(&t.out), t.flags);
    if (code != 0)
        regerror(code, NULL, reason, sizeof reason);
    if (t.out.failed)
        error_set(err, "out of memory");
    else if (t.trouble != NULL || code != 0)
        error_set_usage(err, "--%s: '%s' is no regular expression: %s", option, pattern,
                        t.trouble != NULL ? t.trouble : reason);
    code = t.out.failed || t.trouble != NULL || code != 0 ? -1 : 0;
    text_fini(&t.out);
    return code;
}
