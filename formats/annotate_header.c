#include "formats/annotate.h"

#include <time.h>

#include "formats/catalog.h"
#include "formats/output.h"
#include "formats/query.h"

enum { THREADS_MAX = 12, WARNINGS_MAX = 20, OPEN_THREADS_MAX = 12, OPEN_FRAMES_MAX = 12 };

/* Adds a column's text to the row, printable. */
static void add_text(struct annotate *report, struct query *query, int column)
{
    size_t size;
    const char *bytes = query_text(query, column, &size);

    text_add_printable(&report->row, bytes, size);
}

/* The same behind `before`; nothing if the column is empty. */
static void add_known(struct annotate *report, const char *before, struct query *query, int column)
{
    size_t size;
    const char *bytes = query_text(query, column, &size);

    if (size == 0)
        return;
    text_add_string(&report->row, before);
    text_add_printable(&report->row, bytes, size);
}

static void add_plural(struct annotate *report, uint64_t count, const char *one, const char *many)
{
    text_add_uint(&report->row, count);
    text_add_format(&report->row, " %s", count == 1 ? one : many);
}

/* ---- the run ---- */

/* "2023-11-14 22:13:20 UTC", whatever the time zone. */
static void add_date(struct annotate *report, int64_t ns)
{
    time_t seconds = (time_t)(ns / 1000000000);
    struct tm tm;

    if (gmtime_r(&seconds, &tm) == NULL)
        return;
    text_add_format(&report->row, "%04d-%02d-%02d %02d:%02d:%02d UTC", tm.tm_year + 1900,
                    tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void print_run(struct annotate *report, struct query *run)
{
    annotate_start(report);
    text_add_string(&report->row, "Command line: ");
    add_text(report, run, 0);
    annotate_print(report, ANNOTATE_BOLD);
    annotate_start(report);
    text_add_string(&report->row, "Total duration: ");
    annotate_add_time(report, query_sum(run, 1));
    text_add_string(&report->row, ", ");
    add_plural(report, query_sum(run, 2), "process, ", "processes, ");
    add_plural(report, query_sum(run, 3), "thread, ", "threads, ");
    if (query_int(run, 9) != 0)
        add_plural(report, query_sum(run, 4), "sample", "samples");
    else
        add_plural(report, query_sum(run, 4), "event", "events");
    annotate_print(report, NULL);
    annotate_start(report);
    text_add_string(&report->row, "Recorded: ");
    add_date(report, query_int(run, 5));
    add_known(report, " on ", run, 6);
    add_known(report, ", Python ", run, 7);
    add_known(report, ", in ", run, 8);
    annotate_print(report, NULL);
}

/* Of sampled runs: how it went, which a process that was killed has not told, and what that means
 * for the figures. */
static void print_sampling(struct annotate *report, struct query *query)
{
    uint64_t rounds = query_sum(query, 4);

    if (rounds > 0) {
        annotate_start(report);
        text_add_format(&report->row, "Sampled every %.6g ms: ", (double)query_sum(query, 0) / 1e6);
        add_plural(report, query_sum(query, 1), "sample, ", "samples, ");
        add_plural(report, query_sum(query, 2), "missed", "missed");
        text_add_format(&report->row, ", %.1f %% late",
                        100.0 * (double)query_sum(query, 3) / (double)rounds);
        annotate_print(report, NULL);
    }
    annotate_note(report,
                  "Hits are samples, times estimates (~ below twice their error); no calls known",
                  NULL);
}

static int print_samplings(struct annotate *report)
{
    struct query query = query_open(
        report->db,
        "SELECT min(period_ns), sum(samples), sum(missed), sum(late), sum(rounds) FROM samplers "
        "HAVING (SELECT count(*) FROM runs WHERE mode = 'sample') > 0",
        report->err);

    while (query_next(&query))
        print_sampling(report, &query);
    return query_close(&query);
}

static int print_runs(struct annotate *report)
{
    struct query query = query_open(
        report->db,
        "SELECT command, duration_ns, (SELECT count(*) FROM processes p WHERE p.run_id "
        "= r.run_id), "
        "(SELECT count(*) FROM threads t JOIN processes p ON p.process_id = "
        "t.process_id WHERE p.run_id = r.run_id), "
        "events, started_at, host, python, cwd, mode = 'sample' FROM runs r ORDER BY run_id",
        report->err);

    while (query_next(&query))
        print_run(report, &query);
    return query_close(&query) < 0 ? -1 : print_samplings(report);
}

static int print_selection(struct annotate *report)
{
    struct query query = query_open(
        report->db, "SELECT value FROM meta WHERE key = 'selection' AND value <> ''", report->err);

    while (query_next(&query)) {
        annotate_start(report);
        text_add_string(&report->row, "Selection: ");
        add_text(report, &query, 0);
        annotate_print(report, NULL);
    }
    return query_close(&query);
}

static int print_total(struct annotate *report)
{
    const struct catalog *catalog = report->catalog;

    annotate_start(report);
    text_add_string(&report->row, "100 % is ");
    annotate_add_time(report, catalog->total_self_ns);
    text_add_string(&report->row, ", the time of all threads: ");
    annotate_add_time(report, catalog->total_self_cpu_ns);
    text_add_string(&report->row, " running, ");
    annotate_add_time(report, annotate_waiting(catalog->total_self_ns, catalog->total_self_cpu_ns));
    text_add_string(&report->row, " waiting");
    annotate_print(report, NULL);
    if (catalog->outside_ns > 0) {
        annotate_start(report);
        text_add_string(&report->row, "Outside recorded functions: ");
        annotate_add_time(report, catalog->outside_ns);
        text_add_string(&report->row, " (");
        annotate_add_share(report, catalog->outside_ns);
        text_add_string(&report->row, ")");
        annotate_print(report, NULL);
    }
    return 0;
}

/* ---- threads ---- */

static void print_thread(struct annotate *report, struct query *query)
{
    uint64_t ns = query_sum(query, 3), cpu_ns = query_sum(query, 4);

    annotate_start(report);
    annotate_percent(report, ns);
    annotate_time(report, ANNOTATE_TIME, ns);
    annotate_time(report, ANNOTATE_WAITING, annotate_waiting(ns, cpu_ns));
    add_text(report, query, 0);
    text_add_format(&report->row, " [%lld] of process %lld", (long long)query_int(query, 1),
                    (long long)query_int(query, 2));
    annotate_print(report, NULL);
}

/* A table of the threads, if there are several. */
static int print_threads(struct annotate *report)
{
    static const enum annotate_column columns[] = {ANNOTATE_PERCENT, ANNOTATE_TIME,
                                                   ANNOTATE_WAITING};
    struct query query;
    uint64_t count, shown = 0;

    if (query_number(report->db, "SELECT count(*) FROM threads", &count, report->err) < 0)
        return -1;
    if (count < 2)
        return 0;
    annotate_note(report, "", NULL);
    annotate_headings(report, columns, sizeof columns / sizeof columns[0], "Thread");
    query = query_open(report->db,
                       "SELECT t.name, t.native_id, p.pid, a.self_ns, a.self_cpu_ns "
                       "FROM threads t JOIN processes p ON p.process_id = t.process_id "
                       "JOIN accounts a ON a.thread_id = t.thread_id "
                       "ORDER BY a.self_cpu_ns DESC, a.self_ns DESC, t.thread_id",
                       report->err);
    for (; shown < THREADS_MAX && query_next(&query); shown++)
        print_thread(report, &query);
    if (count > shown)
        annotate_more(report, "", count - shown, "");
    return query_close(&query);
}

/* ---- what went wrong ---- */

static void print_warning(struct annotate *report)
{
    annotate_print(report, "1;33");
}

static int print_losses(struct annotate *report)
{
    struct query query = query_open(report->db,
                                    "SELECT lost_events, path, complete FROM runs "
                                    "WHERE lost_events > 0 OR NOT complete ORDER BY run_id",
                                    report->err);

    while (query_next(&query)) {
        annotate_start(report);
        text_add_string(&report->row, "Warning: ");
        add_text(report, &query, 1);
        text_add_string(&report->row,
                        query_int(&query, 2) != 0 ? ": " : ": the recording is not complete");
        if (query_sum(&query, 0) > 0) {
            text_add_string(&report->row, query_int(&query, 2) != 0 ? "" : "; ");
            add_plural(report, query_sum(&query, 0), "event is lost", "events are lost");
        }
        print_warning(report);
    }
    return query_close(&query);
}

static int print_warnings(struct annotate *report)
{
    struct query query =
        query_open(report->db, "SELECT text FROM warnings ORDER BY run_id, rowid", report->err);
    uint64_t count = 0;

    while (query_next(&query)) {
        if (++count > WARNINGS_MAX)
            continue;
        annotate_start(report);
        text_add_string(&report->row, "Warning: ");
        add_text(report, &query, 0);
        print_warning(report);
    }
    if (count > WARNINGS_MAX) {
        annotate_start(report);
        text_add_format(&report->row, "Warning: and %llu more",
                        (unsigned long long)(count - WARNINGS_MAX));
        print_warning(report);
    }
    return query_close(&query);
}

static int print_gaps(struct annotate *report)
{
    struct query query = query_open(report->db,
                                    "SELECT reason, count(*), SUM(end_ns - start_ns) FROM gaps "
                                    "GROUP BY reason ORDER BY reason",
                                    report->err);

    while (query_next(&query)) {
        annotate_start(report);
        text_add_string(&report->row, "Not recorded (");
        add_text(report, &query, 0);
        text_add_string(&report->row, "): ");
        add_plural(report, query_sum(&query, 1), "gap of ", "gaps of together ");
        annotate_add_time(report, query_sum(&query, 2));
        text_add_string(&report->row, ", in no sum");
        print_warning(report);
    }
    return query_close(&query);
}

/* ---- where it was when it ended ---- */

static void print_open_thread(struct annotate *report, struct query *query)
{
    annotate_start(report);
    text_add_string(&report->row, "  ");
    add_text(report, query, 1);
    text_add_format(&report->row, " [%lld] of process %lld (", (long long)query_int(query, 2),
                    (long long)query_int(query, 3));
    add_text(report, query, 4);
    text_add_string(&report->row, ")");
    annotate_print(report, NULL);
}

static void print_open_frame(struct annotate *report, struct query *query)
{
    const struct catalog_function *function =
        catalog_function(report->catalog, query_int(query, 6));

    annotate_start(report);
    if (function != NULL)
        text_add_format(&report->row, "    %s:%lld %s, since ", function->file->shown,
                        (long long)query_int(query, 7), function->qualname);
    annotate_add_time(report, query_sum(query, 8));
    annotate_print(report, NULL);
}

static void print_open_title(struct annotate *report)
{
    annotate_note(report, "", NULL);
    annotate_note(report, "Open when the recording ended:", NULL);
}

static int print_open_frames(struct annotate *report)
{
    struct query query =
        query_open(report->db,
                   "SELECT o.thread_id, t.name, t.native_id, p.pid, p.ended, o.depth, "
                   "o.function_id, o.line, o.since_ns, "
                   "MAX(o.depth) OVER (PARTITION BY o.thread_id) "
                   "FROM open_frames o JOIN threads t ON t.thread_id = o.thread_id JOIN processes "
                   "p ON p.process_id = t.process_id "
                   "ORDER BY o.thread_id, o.depth",
                   report->err);
    uint64_t threads = 0;
    int64_t thread = 0;

    while (query_next(&query)) {
        uint64_t depth = query_sum(&query, 5), frames = query_sum(&query, 9) + 1;
        uint64_t hidden = frames > OPEN_FRAMES_MAX ? frames - OPEN_FRAMES_MAX : 0;

        if (threads == 0 || query_int(&query, 0) != thread) {
            thread = query_int(&query, 0);
            if (threads++ == 0)
                print_open_title(report);
            if (threads <= OPEN_THREADS_MAX)
                print_open_thread(report, &query);
        }
        if (threads > OPEN_THREADS_MAX)
            continue;
        if (hidden == 0 || depth == 0 || depth > hidden)
            print_open_frame(report, &query);
        else if (depth == 1)
            annotate_more(report, "    ", hidden, " frames");
    }
    if (threads > OPEN_THREADS_MAX)
        annotate_more(report, "  ", threads - OPEN_THREADS_MAX, " threads");
    return query_close(&query);
}

static int print_parts(struct annotate *report, int (*const *parts)(struct annotate *))
{
    for (; *parts != NULL; parts++)
        if ((*parts)(report) < 0)
            return -1;
    return 0;
}

int annotate_title(struct annotate *report)
{
    static int (*const parts[])(struct annotate *) = {
        print_runs, print_selection, print_total, print_losses, print_warnings, print_gaps, NULL,
    };

    return print_parts(report, parts);
}

int annotate_troubles(struct annotate *report)
{
    static int (*const parts[])(struct annotate *) = {
        print_selection, print_losses, print_warnings, print_gaps, NULL,
    };

    return print_parts(report, parts);
}

int annotate_header(struct annotate *report)
{
    static int (*const parts[])(struct annotate *) = {
        annotate_title,
        print_threads,
        print_open_frames,
        NULL,
    };

    if (print_parts(report, parts) < 0)
        return -1;
    output_text(report->out, "\n");
    return 0;
}
