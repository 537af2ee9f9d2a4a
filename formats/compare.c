/* compare.c - two runs side by side: what takes longer in the second, and what takes less.
 *
 * Functions are the same if file (relative to where it was imported from) and name are, lines if
 * their function and text are: so neither edits elsewhere in a file nor another folder or version
 * of Python set them apart. Of several that are alike the first belongs to the first, and so on.
 */
#include <stdio.h>
#include <string.h>

#include "formats/annotate.h"
#include "formats/catalog.h"
#include "formats/error.h"
#include "formats/format.h"
#include "formats/output.h"
#include "formats/query.h"

enum { SQL_MAX = 3072, MOST = 10, PLACE_WIDTH = 32, NARROW_PLACE_WIDTH = 24 };

/* ---- what is compared ---- */

/* Of the code that the program made itself the module is part of the name: all of it may be called
 * "<string>". */
#define FILE_KEY                                                                                   \
    "o.origin, o.name AS file_name, CASE o.origin WHEN 'generated' THEN f.module ELSE '' END "     \
    "AS module"

/* Both give parts: what each run has of each function or line. %1$s is the measure, %2$s the count
 * beside it. The standard error of a sum is the root of the sum of squares. Of a file whose text is
 * not known, such as a frozen one, two runs may have different versions: there the first of several
 * is the first that was seen in the run. */
static const char functions_sql[] =
    "WITH used AS (SELECT DISTINCT p.run_id, s.function_id FROM function_stats s "
    "JOIN threads t USING (thread_id) JOIN processes p USING (process_id)), "
    "alike AS (SELECT function_id, row_number() OVER (PARTITION BY file_id, module, qualname "
    "ORDER BY first_line, function_id) AS nth FROM functions), "
    "names AS (SELECT u.run_id, f.function_id, f.file_id, " FILE_KEY ", f.qualname AS function, "
    "f.first_line AS line, NULL AS text, 0 AS key, CASE o.sha256 WHEN '' THEN row_number() OVER "
    "(PARTITION BY u.run_id, f.file_id, f.module, f.qualname ORDER BY f.first_line, f.function_id) "
    "ELSE a.nth END AS nth FROM used u JOIN functions f USING (function_id) "
    "JOIN files o USING (file_id) JOIN alike a USING (function_id) WHERE f.kind <> 'outside'), "
    "doubts AS (SELECT thread_id, function_id, SUM(1.0 * error_ns * error_ns) AS variance "
    "FROM line_stats GROUP BY 1, 2), "
    "parts AS (SELECT n.*, %1$s AS value, %2$s AS count, d.variance FROM function_stats s "
    "JOIN threads t USING (thread_id) JOIN processes p USING (process_id) "
    "JOIN names n ON n.function_id = s.function_id AND n.run_id = p.run_id "
    "LEFT JOIN doubts d ON d.thread_id = s.thread_id AND d.function_id = s.function_id) ";

static const char lines_sql[] =
    "WITH texts AS (SELECT file_id, line, function, text, coalesce(text, line) AS key, "
    "row_number() OVER (PARTITION BY file_id, "
    "function, coalesce(text, line) ORDER BY line) AS nth FROM (SELECT file_id, line, function, "
    "trim(text, ' ' || char(9)) AS text FROM lines)), "
    "parts AS (SELECT p.run_id, x.*, " FILE_KEY ", %1$s AS value, %2$s AS count, "
    "1.0 * s.error_ns * s.error_ns AS variance "
    "FROM line_stats s JOIN functions f USING (function_id) JOIN files o USING (file_id) "
    "JOIN texts x ON x.file_id = f.file_id AND x.line = s.line JOIN threads t USING (thread_id) "
    "JOIN processes p USING (process_id) WHERE f.kind <> 'outside') ";

/* Of bare columns beside max() SQLite takes those of the row that has it: places are the second
 * run's where it has them. ?1 is the first run, ?2 is 1 for what grew and -1 for what shrank. */
static const char rows_sql[] =
    "SELECT file_id, line, function, text, "
    "SUM(CASE run_id WHEN ?1 THEN value ELSE 0 END) AS before, "
    "SUM(CASE run_id WHEN ?1 THEN 0 ELSE value END) AS after, "
    "SUM(CASE run_id WHEN ?1 THEN count ELSE 0 END), "
    "SUM(CASE run_id WHEN ?1 THEN 0 ELSE count END), SUM(variance), max(run_id) "
    "FROM parts GROUP BY origin, file_name, module, function, key, nth "
    "HAVING ?2 * (after - before) > 0 "
    "ORDER BY ?2 * (after - before) DESC, file_name, line, function";

enum { FILE_ID, LINE, FUNCTION, TEXT, BEFORE, AFTER, COUNT_BEFORE, COUNT_AFTER, VARIANCE };

static const struct measure {
    const char *sql;
    const char *title;
    bool is_time;
} measures[] = {
    [FORMAT_SORT_CPU] = {"s.self_cpu_ns", "their own CPU time", true},
    [FORMAT_SORT_WALL] = {"s.self_ns", "their own time", true},
    [FORMAT_SORT_HITS] = {"s.hits", "hits", false},
    [FORMAT_SORT_CUMULATIVE] = {"s.cumulative_ns", "time with all they call", true},
    [FORMAT_SORT_WAITING] = {"s.self_ns - s.self_cpu_ns", "their own waiting", true},
    [FORMAT_SORT_CALLS] = {"s.calls", "calls", false},
};

struct comparison {
    struct annotate report;
    const struct measure *measure;
    enum annotate_column count; /* the one beside the times */
    int64_t first_run;
};

static struct query open_rows(struct comparison *c, bool grew)
{
    char sql[SQL_MAX];
    struct query query;
    int size = snprintf(sql, sizeof sql, c->report.options->lines ? lines_sql : functions_sql,
                        c->measure->sql, c->count == ANNOTATE_CALLS ? "s.calls" : "s.hits");

    snprintf(sql + size, sizeof sql - (size_t)size, "%s", rows_sql);
    query = query_open(c->report.db, sql, c->report.err);
    query_bind(&query, 1, c->first_run);
    query_bind(&query, 2, grew ? 1 : -1);
    return query;
}

/* ---- rows ---- */

static void print_headings(struct comparison *c, const char *title, const char *last)
{
    const enum annotate_column columns[] = {ANNOTATE_CHANGE, ANNOTATE_BEFORE, ANNOTATE_AFTER,
                                            c->count, ANNOTATE_MORE};

    output_text(c->report.out, "\n");
    if (title != NULL)
        annotate_note(&c->report, title, ANNOTATE_BOLD);
    annotate_headings(&c->report, columns,
                      c->measure->is_time && title != NULL ? sizeof columns / sizeof columns[0] : 3,
                      last);
}

/* What was not there at all stays blank. */
static void add_value(struct comparison *c, enum annotate_column column, uint64_t value,
                      uint64_t count)
{
    if (value == 0 && count == 0)
        annotate_blank(&c->report, column);
    else if (c->measure->is_time)
        annotate_time(&c->report, column, value);
    else
        annotate_count(&c->report, column, value);
}

static void add_counts(struct comparison *c, const struct query *query)
{
    uint64_t before = query_sum(query, COUNT_BEFORE), after = query_sum(query, COUNT_AFTER);

    if (!c->measure->is_time)
        return;
    c->report.in_doubt = false;
    annotate_count(&c->report, c->count, after);
    annotate_change(&c->report, ANNOTATE_MORE, before, after, false);
}

static void add_place(struct comparison *c, const struct catalog_file *file, struct query *query)
{
    struct annotate *report = &c->report;
    struct text place = {0};
    size_t size;
    const char *bytes = query_text(query, FUNCTION, &size);

    text_add_format(&place, "%s:%lld ", file->shown, (long long)query_int(query, LINE));
    text_add_printable(&place, bytes, size);
    if (report->options->lines) {
        annotate_add_place(report, &place, report->narrow ? NARROW_PLACE_WIDTH : PLACE_WIDTH);
        text_add_string(&report->row, "|");
        bytes = query_text(query, TEXT, &size);
        annotate_add_source(report, bytes, size);
    } else {
        text_add(&report->row, place.at, place.size);
    }
    report->row.failed |= place.failed;
    text_fini(&place);
}

/* Of samples: is the difference below twice its standard error? */
static bool is_in_doubt(const struct query *query)
{
    double change = (double)query_sum(query, AFTER) - (double)query_sum(query, BEFORE);

    return change * change < 4 * sqlite3_column_double(query->statement, VARIANCE);
}

static void print_row(struct comparison *c, const struct catalog_file *file, struct query *query)
{
    struct annotate *report = &c->report;
    uint64_t before = query_sum(query, BEFORE), after = query_sum(query, AFTER);
    bool is_time = c->measure->is_time;

    annotate_start(report);
    report->in_doubt = is_time && is_in_doubt(query);
    annotate_change(report, ANNOTATE_CHANGE, before, after, is_time);
    add_value(c, ANNOTATE_BEFORE, before, query_sum(query, COUNT_BEFORE));
    add_value(c, ANNOTATE_AFTER, after, query_sum(query, COUNT_AFTER));
    add_counts(c, query);
    annotate_end_figures(report);
    add_place(c, file, query);
    annotate_print(report, after < before ? "32" : annotate_heat(report, after - before));
}

/* Of rows that are not shown: how many, and their changes together. */
struct rest {
    uint64_t count, change;
};

static void print_rest(struct comparison *c, const struct rest *rest, bool grew, const char *before,
                       const char *behind)
{
    struct annotate *report = &c->report;

    if (rest->count == 0)
        return;
    annotate_start(report);
    text_add_format(&report->row, "%s%llu %s%s%s with %s", before, (unsigned long long)rest->count,
                    *behind == '\0' ? "more " : "", report->options->lines ? "line" : "function",
                    rest->count == 1 ? "" : "s", grew ? "+" : "-");
    if (c->measure->is_time)
        annotate_add_time(report, rest->change);
    else
        text_add_uint(&report->row, rest->change);
    text_add_string(&report->row, behind);
    annotate_print(report, NULL);
}

static bool is_enough(const struct comparison *c, uint64_t change)
{
    double least = c->report.options->min_percent;

    return !c->measure->is_time || least <= 0 ||
           (double)change >= least / 100 * (double)c->report.total_ns;
}

static int print_rows(struct comparison *c, bool grew)
{
    const struct format_options *options = c->report.options;
    struct query query = open_rows(c, grew);
    struct rest left = {0}, hidden = {0};
    int rows = 0, most = options->top > 0 ? options->top : MOST;

    while (query_next(&query)) {
        const struct catalog_file *file =
            catalog_file(c->report.catalog, query_int(&query, FILE_ID));
        uint64_t before = query_sum(&query, BEFORE), after = query_sum(&query, AFTER);
        uint64_t change = before < after ? after - before : before - after;
        bool matches = file != NULL && format_file_matches(options->files, file->raw_path);

        if (matches && rows < most && is_enough(c, change)) {
            print_row(c, file, &query);
            rows++;
        } else {
            struct rest *rest = matches ? &left : &hidden;

            rest->count++;
            rest->change += change;
        }
    }
    print_rest(c, &left, grew, "and ", "");
    print_rest(c, &hidden, grew, "Left out: ", " by --file");
    return query_close(&query);
}

static int print_table(struct comparison *c, bool grew)
{
    struct annotate *report = &c->report;
    bool lines = report->options->lines;
    char title[128];

    snprintf(title, sizeof title, "%s with %s, by %s%s%s%s", lines ? "Lines" : "Functions",
             grew ? "more" : "less", c->measure->title, c->measure->is_time ? " (" : "",
             c->measure->is_time ? report->unit : "", c->measure->is_time ? ")" : "");
    print_headings(c, title, lines ? "Line and source" : "Function");
    return print_rows(c, grew);
}

/* ---- the two runs ---- */

static void print_run(struct annotate *report, struct query *query, const char *label)
{
    size_t size;
    const char *bytes = query_text(query, 0, &size);

    annotate_start(report);
    text_add_string(&report->row, label);
    text_add_printable(&report->row, bytes, size);
    text_add_string(&report->row, ", ");
    bytes = query_text(query, 2, &size);
    text_add_printable(&report->row, bytes, size);
    text_add_string(&report->row, ", Python ");
    bytes = query_text(query, 3, &size);
    text_add_printable(&report->row, bytes, size);
    text_add_string(&report->row, ": ");
    bytes = query_text(query, 1, &size);
    text_add_printable(&report->row, bytes, size);
    annotate_print(report, ANNOTATE_BOLD);
}

static int print_runs(struct comparison *c)
{
    struct query query = query_open(
        c->report.db,
        "SELECT path, command, strftime('%Y-%m-%d %H:%M:%S UTC', started_at / 1000000000, "
        "'unixepoch'), python, run_id FROM runs ORDER BY run_id",
        c->report.err);
    int runs = 0;

    while (query_next(&query)) {
        if (runs == 0)
            c->first_run = query_int(&query, 4);
        print_run(&c->report, &query, runs == 0 ? "Before: " : "After:  ");
        runs++;
    }
    if (query_close(&query) < 0)
        return -1;
    return runs == 2 ? 0
                     : error_set_usage(c->report.err,
                                       "compare needs the traces of two runs, the one before and "
                                       "the one after: here %s %d",
                                       runs == 1 ? "is" : "are", runs);
}

/* What each run has in all; of samples only the first three rows and that of the hits. */
static const char totals_sql[] =
    "WITH sides AS (SELECT thread_id, run_id = ?1 AS old FROM threads JOIN processes USING "
    "(process_id)), times AS (SELECT old, self_ns, self_cpu_ns FROM accounts JOIN sides USING "
    "(thread_id)), counts AS (SELECT old, calls, hits FROM function_stats JOIN sides USING "
    "(thread_id)) "
    "SELECT 1, 'time of all threads', SUM(old * self_ns), SUM((1 - old) * self_ns) FROM times "
    "UNION ALL SELECT 1, 'of it running', SUM(old * self_cpu_ns), SUM((1 - old) * self_cpu_ns) "
    "FROM times "
    "UNION ALL SELECT 1, 'of it waiting', SUM(old * (self_ns - self_cpu_ns)), "
    "SUM((1 - old) * (self_ns - self_cpu_ns)) FROM times "
    "UNION ALL SELECT 0, ?2, SUM(old * hits), SUM((1 - old) * hits) FROM counts "
    "UNION ALL SELECT 0, 'calls', SUM(old * calls), SUM((1 - old) * calls) FROM counts "
    "WHERE ?2 <> 'samples' HAVING count(*) > 0";

static struct query open_totals(const struct comparison *c)
{
    struct query query = query_open(c->report.db, totals_sql, c->report.err);

    query_bind(&query, 1, c->first_run);
    query_bind_text(&query, 2, c->report.is_sampled ? "samples" : "lines executed");
    return query;
}

/* Widths are by the largest of the totals, and 100 % is the longer run. */
static int measure_columns(struct comparison *c)
{
    struct query query = open_totals(c);
    uint64_t largest[2] = {0};

    while (query_next(&query))
        for (int i = 2; i < 4; i++)
            if (query_sum(&query, i) > largest[query_int(&query, 0) == 1])
                largest[query_int(&query, 0) == 1] = query_sum(&query, i);
    c->report.total_ns = largest[1];
    annotate_measure_changes(&c->report, largest[1], largest[0]);
    return query_close(&query);
}

static void print_total(struct annotate *report, struct query *query)
{
    uint64_t before = query_sum(query, 2), after = query_sum(query, 3);
    bool is_time = query_int(query, 0) == 1;
    size_t size;
    const char *what = query_text(query, 1, &size);

    annotate_start(report);
    annotate_change(report, ANNOTATE_CHANGE, before, after, is_time);
    (is_time ? annotate_time : annotate_count)(report, ANNOTATE_BEFORE, before);
    (is_time ? annotate_time : annotate_count)(report, ANNOTATE_AFTER, after);
    text_add(&report->row, what, size);
    annotate_print(report, NULL);
}

static int print_totals(struct comparison *c)
{
    struct query query;
    struct text last = {0};

    if (measure_columns(c) < 0)
        return -1;
    text_add_format(&last, "In all (%s, or how often)", c->report.unit);
    print_headings(c, NULL, text_string(&last));
    text_fini(&last);
    query = open_totals(c);
    while (query_next(&query))
        print_total(&c->report, &query);
    return query_close(&query);
}

static int print_comparison(struct comparison *c)
{
    if (print_runs(c) < 0 || annotate_troubles(&c->report) < 0 || print_totals(c) < 0 ||
        print_table(c, true) < 0)
        return -1;
    return print_table(c, false);
}

static int compare_write(sqlite3 *db, const struct format_options *options, struct output *out,
                         struct error *err)
{
    struct comparison c = {.measure = &measures[options->sort]};
    int status = annotate_begin(&c.report, db, options, out, err);

    c.count = options->lines || c.report.is_sampled ? ANNOTATE_HITS : ANNOTATE_CALLS;
    return annotate_end(&c.report, status == 0 ? print_comparison(&c) : -1);
}

static int compare_check(const struct format_options *options, struct error *err)
{
    static const char *const keys[] = {"cpu",  "wall",  "cumulative", "waiting",
                                       "hits", "calls", NULL};
    static const char *const keys_of_lines[] = {"cpu",     "wall", "cumulative",
                                                "waiting", "hits", NULL};

    return format_check_sort(options, options->lines ? keys_of_lines : keys, err);
}

static void compare_advise(const struct format_options *options, const char *path, char *text,
                           size_t size)
{
    (void)path;
    format_advise_unsplit(options, "compare", text, size);
}

static bool compare_recognize(const unsigned char *head, int size)
{
    return size >= 8 && memcmp(head, "Before: ", 8) == 0;
}

static const char *const suffixes[] = {NULL};

extern const struct format format_compare;
const struct format format_compare = {
    .name = "compare",
    .suffixes = suffixes,
    .summary = "of two runs: what takes longer in the second, and what less",
    .recognize = compare_recognize,
    .check = compare_check,
    .write = compare_write,
    .advise = compare_advise,
};
