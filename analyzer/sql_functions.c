#include "analyzer/sql_functions.h"

#include <math.h>
#include <regex.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void regex_free(void *data)
{
    regfree(data);
    free(data);
}

/* The compiled pattern (owned by the caller), or NULL with the context's error set. */
static regex_t *regex_compile(sqlite3_context *context, const char *pattern)
{
    regex_t *regex = malloc(sizeof *regex);
    char why[128], text[256];
    int code;

    if (regex == NULL) {
        sqlite3_result_error_nomem(context);
        return NULL;
    }
    code = regcomp(regex, pattern, REG_EXTENDED | REG_NOSUB);
    if (code == 0)
        return regex;
    regerror(code, regex, why, sizeof why);
    free(regex);
    snprintf(text, sizeof text, "regexp: %s: %.100s", why, pattern);
    sqlite3_result_error(context, text, -1);
    return NULL;
}

static void regex_search(sqlite3_context *context, const regex_t *regex, const char *text)
{
    int code = regexec(regex, text, 0, NULL, 0);

    if (code == 0 || code == REG_NOMATCH)
        sqlite3_result_int(context, code == 0);
    else
        sqlite3_result_error_nomem(context);
}

static void regexp_call(sqlite3_context *context, int count, sqlite3_value **values)
{
    const char *pattern = (const char *)sqlite3_value_text(values[0]);
    const char *text = (const char *)sqlite3_value_text(values[1]);
    regex_t *regex = sqlite3_get_auxdata(context, 0);

    (void)count;
    if (pattern == NULL || text == NULL)
        return;
    if (regex != NULL) {
        regex_search(context, regex, text);
        return;
    }
    regex = regex_compile(context, pattern);
    if (regex == NULL)
        return;
    regex_search(context, regex, text);
    /* Kept for the next row if the pattern is constant; SQLite may free it at once. */
    sqlite3_set_auxdata(context, 0, regex, regex_free);
}

/* The values of one group: whole numbers until the first that is not. */
struct values {
    union {
        int64_t *wholes;
        double *reals;
    };
    size_t count, capacity;
    bool real, failed;
    double percent; /* as given in the first row */
};

_Static_assert(sizeof(int64_t) == sizeof(double),
               "a whole number is turned into a real one in place");

static bool values_reserve(struct values *values)
{
    size_t capacity = values->capacity == 0 ? 64 : values->capacity * 2;
    int64_t *grown;

    if (values->count < values->capacity)
        return true;
    grown = capacity > SIZE_MAX / sizeof *grown ? NULL
                                                : realloc(values->wholes, capacity * sizeof *grown);
    if (grown == NULL)
        return false;
    values->wholes = grown;
    values->capacity = capacity;
    return true;
}

static void values_become_real(struct values *values)
{
    for (size_t i = 0; i < values->count; i++) {
        int64_t whole;
        double real;

        memcpy(&whole, values->wholes + i, sizeof whole);
        real = (double)whole;
        memcpy(values->reals + i, &real, sizeof real);
    }
    values->real = true;
}

static void values_add(struct values *values, sqlite3_value *value)
{
    bool whole = sqlite3_value_numeric_type(value) == SQLITE_INTEGER;

    if (!whole && !values->real)
        values_become_real(values);
    if (values->real)
        values->reals[values->count++] = sqlite3_value_double(value);
    else
        values->wholes[values->count++] = sqlite3_value_int64(value);
}

static int compare_wholes(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

static int compare_reals(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

static void values_fail(sqlite3_context *context, struct values *values, const char *why)
{
    values->failed = true;
    if (why != NULL)
        sqlite3_result_error(context, why, -1);
    else
        sqlite3_result_error_nomem(context);
}

static void values_step(sqlite3_context *context, struct values *values, sqlite3_value *value)
{
    int type = sqlite3_value_numeric_type(value);

    if (type == SQLITE_NULL)
        return;
    if (type != SQLITE_INTEGER && type != SQLITE_FLOAT) {
        values_fail(context, values, "median and percentile are of numbers");
        return;
    }
    if (!values_reserve(values)) {
        values_fail(context, values, NULL);
        return;
    }
    values_add(values, value);
}

static void median_step(sqlite3_context *context, int count, sqlite3_value **arguments)
{
    struct values *values = sqlite3_aggregate_context(context, sizeof *values);

    (void)count;
    if (values == NULL || values->failed)
        return;
    values->percent = 50;
    values_step(context, values, arguments[0]);
}

static void percentile_step(sqlite3_context *context, int count, sqlite3_value **arguments)
{
    struct values *values = sqlite3_aggregate_context(context, sizeof *values);
    double percent = sqlite3_value_double(arguments[1]);

    (void)count;
    if (values == NULL || values->failed)
        return;
    if (sqlite3_value_numeric_type(arguments[1]) == SQLITE_NULL ||
        !(percent >= 0 && percent <= 100)) {
        values_fail(context, values, "percentile: the second argument is a number from 0 to 100");
        return;
    }
    if (values->count > 0 && percent != values->percent) {
        values_fail(context, values, "percentile: the second argument is not the same in all rows");
        return;
    }
    values->percent = percent;
    values_step(context, values, arguments[0]);
}

/* The value at `place` of the sorted values, linear between two. */
static void result_at(sqlite3_context *context, const struct values *values, double place)
{
    size_t low = (size_t)place;
    double share = place - (double)low;

    if (low >= values->count - 1) {
        low = values->count - 1;
        share = 0;
    }
    if (share == 0 && !values->real)
        sqlite3_result_int64(context, values->wholes[low]);
    else if (share == 0)
        sqlite3_result_double(context, values->reals[low]);
    else if (values->real)
        sqlite3_result_double(context,
                              values->reals[low] * (1 - share) + values->reals[low + 1] * share);
    else
        sqlite3_result_double(context, (double)values->wholes[low] * (1 - share) +
                                           (double)values->wholes[low + 1] * share);
}

static void values_final(sqlite3_context *context)
{
    struct values *values = sqlite3_aggregate_context(context, 0);

    if (values == NULL)
        return;
    if (values->count > 0 && !values->failed) {
        qsort(values->wholes, values->count, sizeof *values->wholes,
              values->real ? compare_reals : compare_wholes);
        result_at(context, values, values->percent / 100 * (double)(values->count - 1));
    }
    free(values->wholes);
}

/* Three digits that count, so that 999.96 us does not become "1000 us". */
static void duration_text(char *text, size_t size, double ns)
{
    static const struct {
        double ns;
        const char *name;
    } units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}};
    double amount = fabs(ns);

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        double value = ns / units[i].ns, size_of = amount / units[i].ns;

        if (size_of < 0.9995)
            continue;
        snprintf(text, size, "%.*f %s",
                 size_of < 9.995   ? 2
                 : size_of < 99.95 ? 1
                                   : 0,
                 value, units[i].name);
        return;
    }
    snprintf(text, size, "%.0f ns", ns);
}

static void duration_call(sqlite3_context *context, int count, sqlite3_value **values)
{
    char text[352]; /* any double with %.0f */

    (void)count;
    if (sqlite3_value_type(values[0]) == SQLITE_NULL)
        return;
    duration_text(text, sizeof text, sqlite3_value_double(values[0]));
    sqlite3_result_text(context, text, -1, SQLITE_TRANSIENT);
}

int sql_functions_register(sqlite3 *db)
{
    static const struct {
        const char *name;
        int arguments;
        void (*call)(sqlite3_context *, int, sqlite3_value **);
        void (*step)(sqlite3_context *, int, sqlite3_value **);
        void (*final)(sqlite3_context *);
    } functions[] = {
        {"regexp", 2, regexp_call, NULL, NULL},
        {"duration", 1, duration_call, NULL, NULL},
        {"median", 1, NULL, median_step, values_final},
        {"percentile", 2, NULL, percentile_step, values_final},
    };
    int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;

    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        int code = sqlite3_create_function_v2(db, functions[i].name, functions[i].arguments, flags,
                                              NULL, functions[i].call, functions[i].step,
                                              functions[i].final, NULL);

        if (code != SQLITE_OK)
            return code;
    }
    return SQLITE_OK;
}
