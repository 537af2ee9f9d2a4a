#include "formats/trace/pattern.h"

#include <fnmatch.h>
#include <locale.h>
#include <regex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REGEX_PREFIX "re:"
#define REGEX_PREFIX_SIZE 3

struct pattern {
    char *text; /* owned */
    bool include;
    bool is_regex;
    regex_t regex;
};

struct pattern_list {
    struct pattern *patterns; /* owned */
    size_t count, room;
    bool includes_only;
    locale_t utf8; /* owned; 0: there is none here */
};

/* A program that is recorded has what locale it likes, also another one tomorrow. The result, which
 * may be 0, is to be given to it again. */
static locale_t enter(locale_t locale)
{
    return locale != (locale_t)0 ? uselocale(locale) : (locale_t)0;
}

struct pattern_list *pattern_list_new(void)
{
    struct pattern_list *list = calloc(1, sizeof *list);

    if (list) {
        list->includes_only = true;
        list->utf8 = newlocale(LC_CTYPE_MASK, PATTERN_LOCALE, (locale_t)0);
    }
    return list;
}

static void pattern_fini(struct pattern *pattern)
{
    if (pattern->is_regex)
        regfree(&pattern->regex);
    free(pattern->text);
}

void pattern_list_free(struct pattern_list *list)
{
    if (!list)
        return;
    for (size_t i = 0; i < list->count; i++)
        pattern_fini(&list->patterns[i]);
    if (list->utf8 != (locale_t)0)
        freelocale(list->utf8);
    free(list->patterns);
    free(list);
}

static bool is_regex(const char *text)
{
    return strncmp(text, REGEX_PREFIX, REGEX_PREFIX_SIZE) == 0;
}

static int compile(regex_t *regex, const char *text, char *why, size_t why_size)
{
    int status = regcomp(regex, text + REGEX_PREFIX_SIZE, REG_EXTENDED | REG_NOSUB);

    if (status == 0)
        return 0;
    if (why)
        regerror(status, regex, why, why_size);
    return -1;
}

static int pattern_init(struct pattern *pattern, bool include, const char *text, char *why,
                        size_t why_size)
{
    *pattern = (struct pattern){.include = include, .text = strdup(text)};
    if (!pattern->text) {
        snprintf(why, why_size, "out of memory");
        return -1;
    }
    if (!is_regex(text))
        return 0;
    if (compile(&pattern->regex, text, why, why_size) < 0) {
        free(pattern->text);
        return -1;
    }
    pattern->is_regex = true;
    return 0;
}

static int make_room(struct pattern_list *list)
{
    size_t room = list->room ? 2 * list->room : 8;

    if (list->count < list->room)
        return 0;
    if (room > SIZE_MAX / sizeof *list->patterns)
        return -1;
    struct pattern *grown = realloc(list->patterns, room * sizeof *grown);
    if (!grown)
        return -1;
    list->patterns = grown;
    list->room = room;
    return 0;
}

int pattern_list_add(struct pattern_list *list, bool include, const char *text, char *why,
                     size_t why_size)
{
    locale_t locale;
    int status;

    if (make_room(list) < 0) {
        snprintf(why, why_size, "out of memory");
        return -1;
    }
    locale = enter(list->utf8);
    status = pattern_init(&list->patterns[list->count], include, text, why, why_size);
    enter(locale);
    if (status < 0)
        return -1;
    list->count++;
    list->includes_only = list->includes_only && include;
    return 0;
}

bool pattern_list_is_empty(const struct pattern_list *list)
{
    return list->count == 0;
}

/* A glob without a slash is about the base name. Flags are 0: `*` matches `/` and a leading dot. */
static bool glob_matches(const char *glob, const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!strchr(glob, '/') && slash)
        path = slash + 1;
    return fnmatch(glob, path, 0) == 0;
}

static bool matches(const struct pattern *pattern, const char *path)
{
    if (pattern->is_regex)
        return regexec(&pattern->regex, path, 0, NULL, 0) == 0;
    return glob_matches(pattern->text, path);
}

bool pattern_list_includes(const struct pattern_list *list, const char *path)
{
    size_t i = list->count;
    locale_t locale;

    if (i == 0)
        return true;
    locale = enter(list->utf8);
    while (i > 0 && !matches(&list->patterns[i - 1], path))
        i--;
    enter(locale);
    return i > 0 ? list->patterns[i - 1].include : !list->includes_only;
}

bool pattern_matches(const char *text, const char *path)
{
    regex_t regex;

    if (!is_regex(text))
        return glob_matches(text, path);
    if (compile(&regex, text, NULL, 0) < 0)
        return false;
    bool found = regexec(&regex, path, 0, NULL, 0) == 0;
    regfree(&regex);
    return found;
}
