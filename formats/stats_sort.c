/* stats_sort.c - the orders that pstats knows, and their abbreviations. */
#include <stdlib.h>
#include <string.h>

#include "formats/error.h"
#include "formats/format.h"
#include "formats/stats.h"

enum { FIELDS_MAX = 32, KNOWN_SIZE = 160 };

typedef int compare_function(const struct stats_row *left, const struct stats_row *right);

/* ---- what rows are compared by: numbers from above, names from below ---- */

#define COMPARE(a, b) ((a) > (b)) - ((a) < (b))

static int by_calls(const struct stats_row *left, const struct stats_row *right)
{
    return COMPARE(right->sum.calls, left->sum.calls);
}

static int by_primitive_calls(const struct stats_row *left, const struct stats_row *right)
{
    return COMPARE(right->sum.primitive_calls, left->sum.primitive_calls);
}

static int by_self(const struct stats_row *left, const struct stats_row *right)
{
    return COMPARE(right->sum.self, left->sum.self);
}

static int by_cumulative(const struct stats_row *left, const struct stats_row *right)
{
    return COMPARE(right->sum.cumulative, left->sum.cumulative);
}

static int by_file(const struct stats_row *left, const struct stats_row *right)
{
    return strcmp(left->file, right->file);
}

static int by_line(const struct stats_row *left, const struct stats_row *right)
{
    return COMPARE(left->line, right->line);
}

static int by_name(const struct stats_row *left, const struct stats_row *right)
{
    return strcmp(left->name, right->name);
}

static int by_label(const struct stats_row *left, const struct stats_row *right)
{
    return strcmp(left->label, right->label);
}

/* ---- the keys ---- */

struct order {
    const char *title;
    compare_function *by[3]; /* NULL: no more */
};

enum { CALLS, CUMULATIVE, FILE_NAME, LINE, NAME, NFL, PRIMITIVE, STANDARD, SELF };

static const struct order orders[] = {
    [CALLS] = {"call count", {by_calls}},
    [CUMULATIVE] = {"cumulative time", {by_cumulative}},
    [FILE_NAME] = {"file name", {by_file}},
    [LINE] = {"line number", {by_line}},
    [NAME] = {"function name", {by_name}},
    [NFL] = {"name/file/line", {by_name, by_file, by_line}},
    [PRIMITIVE] = {"primitive call count", {by_primitive_calls}},
    [STANDARD] = {"standard name", {by_label}},
    [SELF] = {"internal time", {by_self}},
};

static const struct key {
    const char *name;
    int order;
} keys[] = {
    {"calls", CALLS},           {"ncalls", CALLS},       {"cumtime", CUMULATIVE},
    {"cumulative", CUMULATIVE}, {"filename", FILE_NAME}, {"line", LINE},
    {"module", FILE_NAME},      {"name", NAME},          {"nfl", NFL},
    {"pcalls", PRIMITIVE},      {"stdname", STANDARD},   {"time", SELF},
    {"tottime", SELF},
};

enum { KEY_COUNT = sizeof keys / sizeof keys[0] };

/* Of the old profiler; only alone. */
static const struct key numbers[] = {
    {"-1", STANDARD}, {"0", CALLS}, {"1", SELF}, {"2", CUMULATIVE}};

static const struct order *find_number(const char *word)
{
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strcmp(numbers[i].name, word) == 0)
            return &orders[numbers[i].order];
    return NULL;
}

/* Adds those keys that begin with `word`. */
static void list_keys(char *known, const char *word)
{
    size_t size = strlen(word);

    known[0] = '\0';
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strncmp(keys[i].name, word, size) != 0)
            continue;
        if (known[0] != '\0')
            strncat(known, ", ", KNOWN_SIZE - strlen(known) - 1);
        strncat(known, keys[i].name, KNOWN_SIZE - strlen(known) - 1);
    }
}

/* A key or the beginning of one; of several if they mean the same. */
static const struct order *find_order(const char *word, struct error *err)
{
    const struct order *found = NULL;
    size_t size = strlen(word);
    char known[KNOWN_SIZE];

    for (size_t i = 0; i < KEY_COUNT; i++) {
        const struct order *order = &orders[keys[i].order];

        if (strcmp(keys[i].name, word) == 0)
            return order;
        if (strncmp(keys[i].name, word, size) != 0)
            continue;
        if (found != NULL && found != order) {
            list_keys(known, word);
            error_set_usage(err, "--sort: '%s' is ambiguous: %s", word, known);
            return NULL;
        }
        found = order;
    }
    if (found == NULL) {
        list_keys(known, "");
        error_set_usage(err, "--sort: '%s' is not one of %s", word, known);
    }
    return found;
}

/* ---- sorting ---- */

struct field_list {
    compare_function *by[FIELDS_MAX];
    size_t count;
};

static int add_order(struct field_list *fields, const struct order *order, struct error *err)
{
    for (size_t i = 0; i < sizeof order->by / sizeof order->by[0] && order->by[i] != NULL; i++) {
        if (fields->count == FIELDS_MAX)
            return error_set_usage(err, "--sort: too many keys");
        fields->by[fields->count++] = order->by[i];
    }
    return 0;
}

/* What the keys mean, cumulative time without any; their titles are added unless NULL. */
static int find_fields(const struct format_options *options, struct field_list *fields,
                       struct text *title, struct error *err)
{
    static const char *const by_default[] = {"cumulative", NULL};
    const char *const *words = options->sorts != NULL ? options->sorts : by_default;
    bool alone = words[1] == NULL;

    for (size_t i = 0; words[i] != NULL; i++) {
        const struct order *order = find_number(words[i]);

        if (order != NULL && !alone)
            return error_set_usage(err, "--sort: the number %s is for use alone", words[i]);
        if (order == NULL)
            order = find_order(words[i], err);
        if (order == NULL || add_order(fields, order, err) < 0)
            return -1;
        if (title != NULL) {
            text_add_string(title, i > 0 ? ", " : "");
            text_add_string(title, order->title);
        }
    }
    return 0;
}

int stats_check_sort(const struct format_options *options, struct error *err)
{
    struct field_list fields = {.count = 0};

    return find_fields(options, &fields, NULL, err);
}

static int compare(const struct field_list *fields, const struct stats_row *left,
                   const struct stats_row *right)
{
    int order = 0;

    for (size_t i = 0; order == 0 && i < fields->count; i++)
        order = fields->by[i](left, right);
    return order;
}

/* Merges the two sorted halves of `from` into `to`. */
static void merge(const struct field_list *fields, const struct stats_row **from,
                  const struct stats_row **to, size_t middle, size_t count)
{
    size_t left = 0, right = middle;

    for (size_t i = 0; i < count; i++) {
        bool from_left =
            right == count || (left < middle && compare(fields, from[left], from[right]) <= 0);

        to[i] = from_left ? from[left++] : from[right++];
    }
}

/* Stable, as Python's; `scratch` has as much room as `rows`. */
static void sort(const struct field_list *fields, const struct stats_row **rows,
                 const struct stats_row **scratch, size_t count)
{
    size_t middle = count / 2;

    if (count < 2)
        return;
    sort(fields, rows, scratch, middle);
    sort(fields, rows + middle, scratch, count - middle);
    memcpy(scratch, rows, count * sizeof *rows);
    merge(fields, scratch, rows, middle, count);
}

static void turn_round(const struct stats_row **rows, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        const struct stats_row *first = rows[i];

        rows[i] = rows[count - 1 - i];
        rows[count - 1 - i] = first;
    }
}

int stats_sort(const struct stats_row **rows, size_t count, const struct format_options *options,
               struct text *title, struct error *err)
{
    struct field_list fields = {.count = 0};
    const struct stats_row **scratch;

    if (find_fields(options, &fields, title, err) < 0)
        return -1;
    scratch = calloc(count + 1, sizeof *scratch);
    if (scratch == NULL)
        return error_set(err, "out of memory");
    sort(&fields, rows, scratch, count);
    free(scratch);
    if (options->reverse)
        turn_round(rows, count);
    return 0;
}
