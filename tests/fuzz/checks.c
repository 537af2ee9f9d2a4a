#include "tests/fuzz/checks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/analyze.h"
#include "analyzer/events_table.h"
#include "analyzer/sql.h"
#include "analyzer/sql_functions.h"
#include "analyzer/sql_rows.h"
#include "formats/error.h"
#include "formats/format.h"
#include "formats/output.h"
#include "tests/fuzz/fuzz.h"

/* --- Text --- */

/* One character of UTF-8 as RFC 3629 has it; -1: it is none. */
static int32_t take_character(const uint8_t **at, const uint8_t *end)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    uint32_t value = *(*at)++;
    int more = value < 0x80 ? 0 : value < 0xc2 ? -1 : value < 0xe0 ? 1 : value < 0xf0 ? 2 : 3;

    if (more < 0 || value > 0xf4)
        return -1;
    value = more ? value & (0x3fu >> more) : value;
    for (int i = 0; i < more; i++) {
        if (*at == end || (**at & 0xc0) != 0x80)
            return -1;
        value = value << 6 | (*(*at)++ & 0x3fu);
    }
    return value < least[more] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)
               ? -1
               : (int32_t)value;
}

/* Controls, and what changes the direction of the text that follows. */
static bool is_dangerous(int32_t c)
{
    return c < 0 || (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0) || c == 0x61c ||
           c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

void check_text(const char *format, const uint8_t *bytes, size_t size)
{
    const uint8_t *at = bytes, *end = bytes + size;

    while (at < end) {
        const uint8_t *start = at;
        int32_t c = take_character(&at, end);
        FUZZ_CLAIM(!is_dangerous(c), "%s: byte %zu is not safe to show (0x%02x, character %x)",
                   format, (size_t)(start - bytes), *start, (unsigned)c);
    }
}

void check_error(const struct error *err)
{
    FUZZ_CLAIM(err->text[0], "a failure without a word");
    FUZZ_CLAIM(!strchr(err->text, '\n'), "more than one line: %s", err->text);
    check_text("error", (const uint8_t *)err->text, strlen(err->text));
}

/* --- Formats --- */

static struct format_options choose_options(uint32_t choice)
{
    static const char *const units[] = {NULL, "s", "ms", "us", "ns"};
    static const char *const files[] = {"*.py", "re:[a-m]", NULL};
    struct format_options options = FORMAT_OPTIONS_DEFAULT;

    options.sort = (enum format_sort)(choice % 3);
    options.weight = (enum format_weight)(choice / 3 % 3);
    options.unit = units[choice / 9 % 5];
    options.fold = choice >> 8 & 1;
    options.per_thread = choice >> 9 & 1;
    options.lines = choice >> 10 & 1;
    options.zipped = choice >> 11 & 1;
    options.zip_path = options.zipped ? "sources.zip" : NULL;
    options.top = choice >> 12 & 1 ? 3 : 0;
    options.min_percent = choice >> 13 & 1 ? -1 : 0;
    options.files = (choice >> 14 & 7) == 7 ? files : NULL;
    return options;
}

static void write_format(const struct format *format, sqlite3 *db,
                         const struct format_options *options, uint32_t choice)
{
    const struct output_terminal terminal = {.width = (int)(choice >> 17) % 200};
    struct error err = {.usage = 0};
    char advice[2048] = "";
    size_t size;

    scratch_stdout_begin();
    struct output *out = output_open_stdout(&terminal, &err);
    FUZZ_CLAIM(out, "%s: %s", format->name, err.text);
    int status = format->write(db, options, out, &err);
    if (status == 0)
        status = output_commit(out, &err);
    output_close(out);
    if (status < 0)
        check_error(&err);
    uint8_t *bytes = scratch_stdout_end(&size);
    if (!format->binary)
        check_text(format->name, bytes, size);
    free(bytes);
    if (format->advise)
        format->advise(options, NULL, advice, sizeof advice);
    check_text("advice", (const uint8_t *)advice, strlen(advice));
}

/* Split by thread there are many files. */
static void write_files(const struct format *format, sqlite3 *db,
                        const struct format_options *options)
{
    struct error err = {.usage = 0};
    char path[256];

    snprintf(path, sizeof path, "%s/file", scratch_empty_folder());
    struct output *out = output_open_file(path, &err);
    FUZZ_CLAIM(out, "%s: %s", format->name, err.text);
    if (format->write(db, options, out, &err) < 0 || output_commit(out, &err) < 0)
        check_error(&err);
    output_close(out);
}

void check_formats(sqlite3 *db, uint32_t choice)
{
    struct format_options options = choose_options(choice);
    size_t count = 0;

    while (formats[count])
        count++;
    for (size_t i = 0; i < count; i++) {
        if (!fuzz_thorough && (choice / 7 + i) % count > 1)
            continue;
        write_format(formats[i], db, &options, choice);
        if (options.per_thread && (fuzz_thorough || (choice & 0x70) == 0))
            write_files(formats[i], db, &options);
    }
}

/* --- Queries --- */

void check_zero(sqlite3 *db, const char *query)
{
    sqlite3_stmt *statement;

    FUZZ_CLAIM(sqlite3_prepare_v2(db, query, -1, &statement, NULL) == SQLITE_OK, "%s: %s", query,
               sqlite3_errmsg(db));
    FUZZ_CLAIM(sqlite3_step(statement) == SQLITE_ROW, "%s: %s", query, sqlite3_errmsg(db));
    FUZZ_CLAIM(sqlite3_column_int64(statement, 0) == 0, "%s: %lld", query,
               (long long)sqlite3_column_int64(statement, 0));
    sqlite3_finalize(statement);
}

void check_queries(sqlite3 *db, const char *text, int style)
{
    struct error err = {.usage = 0};
    struct sql_query query = {"--sql", strdup(text)};
    size_t size;

    scratch_stdout_begin();
    struct output *out = output_open_stdout(NULL, &err);
    FUZZ_CLAIM(out && query.text, "no memory");
    int status = sql_run(db, &query, 1, style, out, &err);
    if (status == 0)
        status = output_commit(out, &err);
    if (status < 0)
        check_error(&err);
    output_close(out);
    sql_query_fini(&query);
    uint8_t *bytes = scratch_stdout_end(&size);
    if (style == SQL_ROWS_ALIGNED)
        check_text("rows", bytes, size);
    free(bytes);
}

/* --- Traces --- */

static void check_profile(sqlite3 *db, const char *path, uint32_t choice)
{
    check_zero(db, "SELECT count(*) FROM accounts WHERE difference_ns != 0");
    check_zero(db, "SELECT count(*) FROM accounts WHERE wall_ns < 0 OR self_ns < 0 OR gap_ns < 0 "
                   "OR self_cpu_ns < 0 OR self_cpu_ns > self_ns");
    check_zero(db, "SELECT (SELECT coalesce(sum(self_ns), 0) FROM functions) - "
                   "(SELECT coalesce(sum(self_ns), 0) FROM accounts)");
    check_zero(db, "SELECT count(*) FROM contexts WHERE self_ns < 0 OR cumulative_ns < self_ns "
                   "AND parent_id IS NOT NULL OR parent_id >= context_id");
    FUZZ_CLAIM(sql_functions_register(db) == SQLITE_OK &&
                   events_table_register(db, (const char *const *)&path, 1) == SQLITE_OK,
               "no table of events");
    check_queries(db, "SELECT * FROM events", (int)(choice >> 5) % 4);
    check_formats(db, choice);
}

/* Most often everything. */
static void choose_selection(struct selection *selection, uint32_t choice)
{
    static const char *const owners[] = {"a", "cProfile", NULL};

    selection->thread = choice >> 20 & 7 ? NULL : "1";
    selection->pid = choice >> 23 & 7 ? 0 : 1000;
    selection->windows = choice >> 26 & 3 ? NULL : owners;
}

void check_trace(const char *path, uint32_t choice)
{
    char copy[256];
    const char *paths[] = {copy};
    struct error err = {.usage = 0};
    struct analyze_options options = {.workers = choice & 1 ? 2 : 1};
    sqlite3 *db = NULL;

    choose_selection(&options.selection, choice);

    snprintf(copy, sizeof copy, "%s", path);
    if (analyze_traces(paths, 1, &options, NULL, &db, &err) < 0)
        check_error(&err);
    else
        check_profile(db, copy, choice);
    FUZZ_CLAIM(sqlite3_close(db) == SQLITE_OK, "a statement was not finalized");
}
