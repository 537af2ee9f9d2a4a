/* trace_text.c - the execution itself: a row an event, threads merged in the order of time.
 *
 * It reads the virtual table `events`, that is the trace, in one pass; what is kept in memory are
 * the stacks of the threads that are alive at the time, and texts of lines that were shown.
 * Indentation is the depth in frames that are shown: excluded ones do not count. Frames that were
 * open before the first row of a thread count as shown.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/annotate.h"
#include "formats/catalog.h"
#include "formats/error.h"
#include "formats/format.h"
#include "formats/output.h"
#include "formats/query.h"
#include "formats/trace_text.h"

enum { PLACE_WIDTH = 24, THREAD_WIDTH = 14, LEVEL_MAX = 20, INDENT = 2 };

/* ---- what events are called, and their colours ---- */

static const struct kind {
    const char *name; /* in the table */
    const char *verb; /* in a row; NULL: the source line */
    const char *style;
    bool names_function;
} kinds[] = {
    [TRACE_TEXT_LINE] = {"line", NULL, NULL, false},
    [TRACE_TEXT_CALL] = {"call", "call", "36", true},
    [TRACE_TEXT_RESUME] = {"resume", "resume", "36", true},
    [TRACE_TEXT_RETURN] = {"return", "return from", "2", true},
    [TRACE_TEXT_YIELD] = {"yield", "yield from", "2", true},
    [TRACE_TEXT_UNWIND] = {"unwind", "unwind", "31", true},
    [TRACE_TEXT_RAISE] = {"raise", "raise", "31", false},
    [TRACE_TEXT_C_CALL] = {"c_call", "call", "36", false},
    [TRACE_TEXT_C_RETURN] = {"c_return", "return from C", "2", false},
    [TRACE_TEXT_SWITCH] = {"switch", "switch to another stack", "35", false},
    [TRACE_TEXT_MARK] = {"mark", "mark", "1", false},
    [TRACE_TEXT_SAMPLE] = {"sample", "sample:", NULL, true},
    [TRACE_TEXT_OTHER] = {"gap", "not recorded:", "33", false},
};

enum trace_text_kind trace_text_kind(const char *name)
{
    for (size_t i = 0; i < TRACE_TEXT_OTHER; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return (enum trace_text_kind)i;
    return TRACE_TEXT_OTHER;
}

/* ---- rows ---- */

struct printer {
    struct annotate report;
    struct trace_text_sources sources;
    struct text place;
    int time_width;
    int decimals;
    bool names_threads; /* there are several */
    uint64_t rows;
};

/* Right-aligned, to the nanosecond. */
static void add_time(struct printer *printer, uint64_t ns, int width)
{
    struct text *row = &printer->report.row;
    uint64_t unit = printer->report.unit_ns;
    size_t before = row->size;
    struct text number = {0};

    text_add_uint(&number, ns / unit);
    if (printer->decimals > 0)
        text_add_format(&number, ".%0*llu", printer->decimals, (unsigned long long)(ns % unit));
    text_add_spaces(row, width - (int)number.size);
    text_add(row, number.at, number.size);
    row->failed |= number.failed || before > row->size;
    text_fini(&number);
}

static void add_place(struct printer *printer, const struct trace_text_event *event)
{
    text_clear(&printer->place);
    if (event->file != NULL)
        text_add_format(&printer->place, "%s:%lld", event->file->shown, (long long)event->line);
    annotate_add_place(&printer->report, &printer->place, PLACE_WIDTH);
    text_add_string(&printer->report.row, "  ");
}

/* Of a long name the end is cut: "Thread-12 (process_request)" begins with what tells it apart. */
static void add_thread(struct annotate *report, const char *name)
{
    size_t size = strlen(name);
    int width = text_width(name, size);

    if (width > THREAD_WIDTH) {
        size = text_fit(name, size, THREAD_WIDTH - 1);
        width = text_width(name, size) + 1;
    }
    text_add(&report->row, name, size);
    text_add_string(&report->row, name[size] != '\0' ? "…" : "");
    text_add_spaces(&report->row, THREAD_WIDTH - width + 2);
}

/* Where indentation ends, a number goes on. */
static void add_indentation(struct printer *printer, int64_t level)
{
    struct text *row = &printer->report.row;

    text_add_spaces(row, INDENT * (int)(level < LEVEL_MAX ? level : LEVEL_MAX));
    if (level > LEVEL_MAX)
        text_add_format(row, "[%lld] ", (long long)level);
}

/* What the row says of the event. */
static int add_what(struct printer *printer, const struct trace_text_event *event)
{
    struct text *row = &printer->report.row;
    const struct kind *kind = &kinds[event->kind];
    const struct trace_text_source *source;

    if (kind->verb == NULL) {
        source = trace_text_source(&printer->sources, event->file->id, event->line);
        if (source == NULL)
            return -1;
        annotate_add_source(&printer->report, source->text, source->size);
        if (source->size == 0 && event->function != NULL) /* not recorded */
            text_add_format(row, "(%s)", event->function->qualname);
        return 0;
    }
    text_add_string(row, kind->verb);
    if (kind->names_function && event->function != NULL)
        text_add_format(row, " %s", event->function->qualname);
    if (event->detail_size > 0) {
        text_add_string(row, " ");
        text_add_printable(row, event->detail, event->detail_size);
    }
    if (event->since >= 0) {
        text_add_string(row, " (");
        add_time(printer, (uint64_t)(event->time - event->since), 0);
        text_add_format(row, " %s)", printer->report.unit);
    }
    return 0;
}

static int print_event(void *context, const struct trace_text_event *event)
{
    struct printer *printer = context;
    struct annotate *report = &printer->report;

    annotate_start(report);
    add_time(printer, event->time > 0 ? (uint64_t)event->time : 0, printer->time_width);
    text_add_string(&report->row, "  ");
    if (printer->names_threads)
        add_thread(report, event->thread_name);
    add_place(printer, event);
    add_indentation(printer, event->level);
    if (add_what(printer, event) < 0)
        return -1;
    annotate_print(report, kinds[event->kind].style);
    printer->rows++;
    if (report->row.failed || printer->place.failed)
        return error_set(report->err, "out of memory");
    if (output_failed(report->out) ||
        (report->options->top > 0 && printer->rows >= (uint64_t)report->options->top))
        return 1;
    return 0;
}

/* ---- runs ---- */

static int digits(uint64_t value)
{
    int count = 1;

    for (; value >= 10; value /= 10)
        count++;
    return count;
}

static int decimals_of(uint64_t unit_ns)
{
    return digits(unit_ns) - 1;
}

static void print_heading(struct printer *printer, struct query *run)
{
    struct annotate *report = &printer->report;
    size_t size;
    const char *command = query_text(run, 1, &size);

    annotate_start(report);
    text_add_string(&report->row, "Trace of: ");
    text_add_printable(&report->row, command, size);
    annotate_print(report, ANNOTATE_BOLD);
    annotate_start(report);
    text_add_spaces(&report->row, printer->time_width - (int)strlen(report->unit) - 5);
    text_add_format(&report->row, "Time %s  ", report->unit);
    if (printer->names_threads)
        text_add_format(&report->row, "%-*s", THREAD_WIDTH + 2, "Thread");
    text_add_format(&report->row, "%-*s", PLACE_WIDTH + 2, "Place");
    text_add_string(&report->row, "What");
    annotate_print(report, ANNOTATE_BOLD);
}

/* An empty table would leave open whether it was the time or the name that fits nothing. */
static void print_nothing(struct printer *printer, struct query *run)
{
    struct annotate *report = &printer->report;

    annotate_start(report);
    text_add_string(&report->row, "Nothing of what was asked for; there are events from ");
    add_time(printer, query_sum(run, 4), 0);
    text_add_string(&report->row, " to ");
    add_time(printer, query_sum(run, 2), 0);
    text_add_format(&report->row, " %s.", report->unit);
    annotate_print(report, NULL);
}

/* Columns of `run`: run_id, command, its last stamp, threads, its first stamp. */
static int print_run(struct printer *printer, struct query *run)
{
    struct annotate *report = &printer->report;
    uint64_t end = query_sum(run, 2);
    struct trace_text_walk walk = {
        .db = report->db,
        .catalog = report->catalog,
        .options = report->options,
        .run_id = query_int(run, 0),
        .end = (int64_t)end,
        .take = print_event,
        .context = printer,
        .err = report->err,
    };
    int heading = (int)strlen(report->unit) + 5, status;
    uint64_t before = printer->rows;

    printer->decimals = decimals_of(report->unit_ns);
    printer->time_width =
        digits(end / report->unit_ns) + (printer->decimals > 0 ? printer->decimals + 1 : 0);
    if (printer->time_width < heading)
        printer->time_width = heading;
    printer->names_threads = query_int(run, 3) > 1;
    print_heading(printer, run);
    status = trace_text_walk(&walk);
    if (status == 0 && printer->rows == before)
        print_nothing(printer, run);
    return status;
}

static int print_runs(struct printer *printer)
{
    struct query query = query_open(
        printer->report.db,
        "SELECT run_id, command, (SELECT MAX(t.end_ns) FROM threads t JOIN processes p USING "
        "(process_id) WHERE p.run_id = r.run_id), (SELECT count(*) FROM threads t JOIN processes p "
        "USING (process_id) WHERE p.run_id = r.run_id), (SELECT MIN(t.start_ns) FROM threads t "
        "JOIN "
        "processes p USING (process_id) WHERE p.run_id = r.run_id) FROM runs r ORDER BY run_id",
        printer->report.err);
    int status = 0;

    while (status == 0 && query_next(&query))
        status = print_run(printer, &query);
    return query_close(&query) < 0 ? -1 : status;
}

/* ---- the format ---- */

/* Without the trace there are no events; the query for them says why. */
static int check_events(sqlite3 *db, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, "SELECT 1 FROM events LIMIT 1", -1, &statement, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        error_set(err, "--format trace: %s", sqlite3_errmsg(db));
    sqlite3_finalize(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? 0 : -1;
}

static int trace_text_write(sqlite3 *db, const struct format_options *options, struct output *out,
                            struct error *err)
{
    struct printer printer = {.rows = 0};
    int status = check_events(db, err);

    if (status == 0) {
        status = annotate_begin(&printer.report, db, options, out, err);
        if (status == 0)
            status = trace_text_sources_init(&printer.sources, db, err);
        if (status == 0)
            status = print_runs(&printer);
        if (trace_text_sources_fini(&printer.sources) < 0)
            status = -1;
        status = annotate_end(&printer.report, status > 0 ? 0 : status);
    }
    text_fini(&printer.place);
    return status;
}

static bool trace_text_recognize(const unsigned char *head, int size)
{
    static const char first[] = "Trace of: ";

    return size >= (int)sizeof first - 1 && memcmp(head, first, sizeof first - 1) == 0;
}

static const char *const no_suffixes[] = {NULL};

extern const struct format format_trace;
const struct format format_trace = {
    .name = "trace",
    .suffixes = no_suffixes,
    .summary = "the execution itself, a row an event",
    .heeds = FORMAT_HEEDS_TIME,
    .recognize = trace_text_recognize,
    .write = trace_text_write,
};
