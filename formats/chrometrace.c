/* chrometrace.c - each activation of a function as a slice of time: the "JSON object format" of
 * Chrome's Trace Event Format, which ui.perfetto.dev, chrome://tracing and speedscope show.
 *
 * It reads the virtual table `events`, one thread after the other, from the beginning, so that what
 * is open when a window begins is known; slices are cut to the window. In memory is one stack.
 *
 * Times are whole nanoseconds from the start of the run, written as microseconds with three
 * decimals. A slice is a record where it begins (B) and one where it ends (E), in the order of the
 * stack: as the sum of two such numbers, of which viewers keep the nearest binary fraction, ends
 * that are the same would not be, and slices would overlap. Only one whose function was not known
 * when it began has begin and duration in one record (X). Marks, exceptions and gaps are instants.
 * With --lines there is a slice within the function's from each line's beginning to the next one's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/catalog.h"
#include "formats/error.h"
#include "formats/format.h"
#include "formats/output.h"
#include "formats/query.h"
#include "formats/text.h"
#include "formats/trace_text.h"

/* Frames beyond this one are taken for it: a damaged trace can tell of any number. */
enum { DEPTH_MAX = 1 << 20 };

/* Where a process id or thread id is used again, the second is so much more: no id is. */
#define AGAIN (INT64_C(1) << 22)

/* What is open on a thread's stack: a frame, or above it a C function. */
struct activation {
    int64_t since;
    int64_t id;                              /* the event's `activation`; 0: not known */
    int64_t line;                            /* --lines: that it is on; 0: none yet */
    const struct catalog_function *function; /* NULL: not known, or of C */
    char *c_name;                            /* owned; NULL: a frame */
    bool inside;                             /* of what --function asks for */
    bool is_written, is_line_written;        /* the beginnings of their slices */
};

struct writer {
    sqlite3 *db;
    const struct catalog *catalog;
    const struct format_options *options;
    struct output *out;
    struct error *err;
    struct trace_text_sources sources;
    struct text name;          /* being written */
    int64_t from, to;          /* the window */
    int64_t pid, tid;          /* of the thread */
    bool is_first;             /* nothing is written yet */
    bool is_open;              /* the window has begun, for the thread */
    struct activation *stack;  /* owned */
    size_t count, room, depth; /* depth: frames among them */
};

static int no_memory(const struct writer *writer)
{
    return error_set(writer->err, "out of memory");
}

/* ---- JSON ---- */

static void write_time(struct writer *writer, const char *key, int64_t ns)
{
    output_format(writer->out, ",\"%s\":%lld.%03d", key, (long long)(ns / 1000), (int)(ns % 1000));
}

/* What every record begins with. */
static void begin_record(struct writer *writer, const char *phase)
{
    output_format(writer->out, "%s{\"ph\":\"%s\",\"pid\":%lld,\"tid\":%lld",
                  writer->is_first ? "\n" : ",\n", phase, (long long)writer->pid,
                  (long long)writer->tid);
    writer->is_first = false;
}

static void write_metadata(struct writer *writer, const char *what, const char *bytes, size_t size)
{
    text_clear(&writer->name);
    text_add_printable(&writer->name, bytes, size);
    begin_record(writer, "M");
    output_format(writer->out, ",\"name\":\"%s\",\"args\":{\"name\":", what);
    output_json_string(writer->out, text_string(&writer->name));
    output_text(writer->out, "}}");
}

static void write_instant(struct writer *writer, const char *category, int64_t time)
{
    if (time < writer->from || time > writer->to)
        return;
    begin_record(writer, "i");
    write_time(writer, "ts", time);
    output_format(writer->out, ",\"s\":\"t\",\"cat\":\"%s\",\"name\":", category);
    output_json_string(writer->out, text_string(&writer->name));
    output_text(writer->out, "}");
}

/* ---- slices ---- */

static bool is_shown(const struct writer *writer, const struct activation *activation)
{
    const struct catalog_file *file =
        activation->function != NULL ? activation->function->file : NULL;

    return activation->inside &&
           (file == NULL || format_file_matches(writer->options->files, file->raw_path));
}

/* What writer->name says begins, up to where arguments may follow. */
static void begin_slice(struct writer *writer, const char *category, int64_t time)
{
    begin_record(writer, "B");
    write_time(writer, "ts", time < writer->from ? writer->from : time);
    output_format(writer->out, ",\"cat\":\"%s\",\"name\":", category);
    output_json_string(writer->out, text_string(&writer->name));
}

/* It is over; speedscope wants the name again. */
static void end_slice(struct writer *writer, int64_t time)
{
    begin_record(writer, "E");
    write_time(writer, "ts", time);
    output_text(writer->out, ",\"name\":");
    output_json_string(writer->out, text_string(&writer->name));
    output_text(writer->out, "}");
}

static void name_activation(struct writer *writer, const struct activation *activation)
{
    text_clear(&writer->name);
    if (activation->c_name != NULL)
        text_add_printable(&writer->name, activation->c_name, strlen(activation->c_name));
    else
        text_add_string(&writer->name, activation->function->qualname);
}

/* The line that the frame is on. */
static int name_line(struct writer *writer, const struct activation *frame)
{
    const struct trace_text_source *source =
        trace_text_source(&writer->sources, frame->function->file->id, frame->line);

    if (source == NULL)
        return -1;
    text_clear(&writer->name);
    text_add_format(&writer->name, source->size > 0 ? "%lld: " : "line %lld",
                    (long long)frame->line);
    text_add_printable(&writer->name, source->text, source->size);
    return 0;
}

/* Where its function stands; the end of the record. */
static void write_place(struct writer *writer, const struct catalog_function *function)
{
    text_clear(&writer->name);
    text_add_format(&writer->name, "%s:%lld", function->file->shown,
                    (long long)function->first_line);
    output_text(writer->out, ",\"args\":{\"at\":");
    output_json_string(writer->out, text_string(&writer->name));
    output_text(writer->out, "}}");
}

static void begin_activation(struct writer *writer, struct activation *activation)
{
    bool is_known = activation->c_name != NULL || activation->function != NULL;

    if (activation->is_written || !is_known || !is_shown(writer, activation))
        return;
    name_activation(writer, activation);
    begin_slice(writer, activation->c_name != NULL ? "c" : "python", activation->since);
    if (activation->c_name != NULL)
        output_text(writer->out, "}");
    else
        write_place(writer, activation->function);
    activation->is_written = true;
}

/* Its slice lies in that of the function. */
static int begin_line(struct writer *writer, struct activation *frame, int64_t time)
{
    if (frame->line == 0 || !frame->is_written || frame->is_line_written)
        return 0;
    if (name_line(writer, frame) < 0)
        return -1;
    begin_slice(writer, "line", time);
    output_text(writer->out, "}");
    frame->is_line_written = true;
    return 0;
}

static int end_line(struct writer *writer, struct activation *frame, int64_t time)
{
    if (!frame->is_line_written)
        return 0;
    if (name_line(writer, frame) < 0)
        return -1;
    end_slice(writer, time);
    frame->is_line_written = false;
    return 0;
}

/* It is over, at `time` in the window. */
static int end_activation(struct writer *writer, struct activation *activation, int64_t time)
{
    int64_t from = activation->since < writer->from ? writer->from : activation->since;

    if (end_line(writer, activation, time) < 0)
        return -1;
    if (activation->is_written) {
        name_activation(writer, activation);
        end_slice(writer, time);
    } else if (activation->function != NULL && is_shown(writer, activation)) {
        begin_record(writer, "X");
        write_time(writer, "ts", from);
        write_time(writer, "dur", time - from);
        output_text(writer->out, ",\"cat\":\"python\",\"name\":");
        output_json_string(writer->out, activation->function->qualname);
        write_place(writer, activation->function);
    }
    return 0;
}

/* ---- a stack ---- */

/* The activation on top is over. */
static int pop(struct writer *writer, int64_t time)
{
    struct activation *top = &writer->stack[writer->count - 1];
    int status = 0;

    if (writer->is_open)
        status = end_activation(writer, top, time > writer->to ? writer->to : time);
    writer->depth -= top->c_name == NULL;
    free(top->c_name);
    writer->count--;
    return status;
}

static struct activation *push(struct writer *writer, int64_t time)
{
    bool inside = writer->count > 0 ? writer->stack[writer->count - 1].inside
                                    : writer->options->function == NULL;

    if (writer->count == writer->room) {
        size_t room = writer->room == 0 ? 64 : 2 * writer->room;
        struct activation *stack = realloc(writer->stack, room * sizeof *stack);

        if (stack == NULL) {
            no_memory(writer);
            return NULL;
        }
        writer->stack = stack;
        writer->room = room;
    }
    writer->stack[writer->count] = (struct activation){.since = time, .inside = inside};
    return &writer->stack[writer->count++];
}

/* `depth` frames are open; what is above them is over, what is missing began before it was seen. */
static int set_depth(struct writer *writer, size_t depth, int64_t time)
{
    while (writer->depth > depth)
        if (pop(writer, time) < 0)
            return -1;
    for (; writer->depth < depth; writer->depth++)
        if (push(writer, time) == NULL)
            return -1;
    return 0;
}

/* C functions above the innermost frame are over. */
static void leave_c(struct writer *writer, int64_t time)
{
    while (writer->count > 0 && writer->stack[writer->count - 1].c_name != NULL)
        pop(writer, time); /* it has no line, whose text would have to be read */
}

/* The window begins: with what is open. */
static int open_window(struct writer *writer)
{
    writer->is_open = true;
    for (size_t i = 0; i < writer->count; i++) {
        begin_activation(writer, &writer->stack[i]);
        if (begin_line(writer, &writer->stack[i], writer->from) < 0)
            return -1;
    }
    return 0;
}

/* ---- events ---- */

enum { TIME, EVENT, FUNCTION_ID, LINE, DEPTH, DETAIL, ACTIVATION, ASKED };

static void know(struct writer *writer, struct activation *frame, const struct query *query)
{
    frame->function = catalog_function(writer->catalog, query_int(query, FUNCTION_ID));
    frame->id = query_int(query, ACTIVATION);
    frame->inside = frame->inside || query_int(query, ASKED) != 0;
}

/* The frame on top is on the line of the event. */
static int set_line(struct writer *writer, const struct query *query, int64_t time)
{
    struct activation *frame = writer->count > 0 ? &writer->stack[writer->count - 1] : NULL;

    if (frame == NULL || !writer->options->lines)
        return 0;
    if (end_line(writer, frame, time) < 0)
        return -1;
    frame->line = query_int(query, LINE);
    return writer->is_open ? begin_line(writer, frame, time) : 0;
}

static int take_call(struct writer *writer, const struct query *query, enum trace_text_kind kind,
                     size_t depth, int64_t time)
{
    struct activation *frame;

    if (depth == 0 || set_depth(writer, depth - 1, time) < 0)
        return depth == 0 ? 0 : -1;
    frame = push(writer, time);
    if (frame == NULL)
        return -1;
    writer->depth++;
    know(writer, frame, query);
    if (writer->is_open)
        begin_activation(writer, frame);
    return kind == TRACE_TEXT_RESUME ? set_line(writer, query, time) : 0;
}

static int take_c_call(struct writer *writer, struct query *query, int64_t time)
{
    size_t size;
    const char *name = query_text(query, DETAIL, &size);
    struct activation *frame = push(writer, time);

    if (frame == NULL)
        return -1;
    frame->c_name = size > 0 ? strndup(name, size) : strdup("<unknown>");
    if (frame->c_name == NULL) {
        writer->count--;
        return no_memory(writer);
    }
    if (writer->is_open)
        begin_activation(writer, frame);
    return 0;
}

static int take_end(struct writer *writer, enum trace_text_kind kind, int64_t time)
{
    bool is_of_c = kind == TRACE_TEXT_C_RETURN;

    if (!is_of_c)
        leave_c(writer, time);
    if (writer->count == 0 || (writer->stack[writer->count - 1].c_name != NULL) != is_of_c)
        return 0;
    return pop(writer, time);
}

static void take_instant(struct writer *writer, struct query *query, const char *kind, int64_t time)
{
    size_t size;
    const char *detail = query_text(query, DETAIL, &size);
    bool is_mark = strcmp(kind, "mark") == 0;

    text_clear(&writer->name);
    if (!is_mark)
        text_add_format(&writer->name, "%s ", strcmp(kind, "gap") == 0 ? "not recorded:" : kind);
    text_add_printable(&writer->name, detail, size);
    if (is_mark || writer->options->function == NULL ||
        (writer->count > 0 && writer->stack[writer->count - 1].inside))
        write_instant(writer, kind, time);
}

/* The frame on top is that of the event, if it was not known; where events were lost, another one
 * may have come in the place of the one that was. */
static int know_top(struct writer *writer, const struct query *query, int64_t time)
{
    struct activation *top = writer->count > 0 ? &writer->stack[writer->count - 1] : NULL;

    if (top == NULL || top->c_name != NULL || top->id == query_int(query, ACTIVATION))
        return 0;
    if (top->id != 0 && (set_depth(writer, writer->depth - 1, time) < 0 ||
                         set_depth(writer, writer->depth + 1, time) < 0))
        return -1;
    know(writer, &writer->stack[writer->count - 1], query);
    return 0;
}

/* The frames of another stack are there now; when they began is not known. */
static int take_switch(struct writer *writer, const struct query *query, size_t depth, int64_t time)
{
    if (set_depth(writer, 0, time) < 0 || set_depth(writer, depth, time) < 0 ||
        know_top(writer, query, time) < 0)
        return -1;
    if (writer->is_open && depth > 0)
        begin_activation(writer, &writer->stack[writer->count - 1]);
    return set_line(writer, query, time);
}

/* What is not recorded is in no slice, but that a few events were lost breaks none. */
static int take_gap(struct writer *writer, struct query *query, int64_t time)
{
    size_t size;

    take_instant(writer, query, "gap", time);
    return strcmp(query_text(query, DETAIL, &size), "lost") == 0 ? 0 : set_depth(writer, 0, time);
}

static int take_event(struct writer *writer, struct query *query)
{
    size_t size;
    const char *name = query_text(query, EVENT, &size);
    enum trace_text_kind kind = trace_text_kind(name);
    int64_t given = query_int(query, DEPTH), time = query_int(query, TIME);
    size_t depth = given < 0 ? 0 : given > DEPTH_MAX ? DEPTH_MAX : (size_t)given;

    if (!writer->is_open && time >= writer->from && open_window(writer) < 0)
        return -1;
    if (kind == TRACE_TEXT_CALL || kind == TRACE_TEXT_RESUME)
        return take_call(writer, query, kind, depth, time);
    if (kind == TRACE_TEXT_SWITCH)
        return take_switch(writer, query, depth, time);
    if (kind == TRACE_TEXT_OTHER)
        return take_gap(writer, query, time);
    if (set_depth(writer, depth, time) < 0)
        return -1;
    if (know_top(writer, query, time) < 0)
        return -1;
    switch (kind) {
    case TRACE_TEXT_LINE:
        leave_c(writer, time);
        return set_line(writer, query, time);
    case TRACE_TEXT_C_CALL:
        return take_c_call(writer, query, time);
    case TRACE_TEXT_MARK:
    case TRACE_TEXT_RAISE:
        take_instant(writer, query, kind == TRACE_TEXT_MARK ? "mark" : "raise", time);
        return 0;
    default:
        return take_end(writer, kind, time);
    }
}

/* ---- threads ---- */

static const char events_sql[] =
    "SELECT time_ns, event, function_id, line, depth, detail, activation, function_id IN (SELECT "
    "function_id FROM functions WHERE " TRACE_TEXT_ASKED(
        "?4") ") FROM events WHERE run_id = ?1 AND thread_id = ?2 AND time_ns <= ?3";

enum { THREAD_ID, NAME, PID, NATIVE, COMMAND, IS_MAIN, END, THREAD_AGAIN };

static int write_events(struct writer *writer, int64_t run_id, int64_t thread_id, int64_t end)
{
    struct query query = query_open(writer->db, events_sql, writer->err);
    int status = 0;

    writer->is_open = false;
    query_bind(&query, 1, run_id);
    query_bind(&query, 2, thread_id);
    query_bind(&query, 3, writer->to);
    query_bind_text(&query, 4, writer->options->function != NULL ? writer->options->function : "");
    while (status == 0 && query_next(&query) && !output_failed(writer->out))
        status = take_event(writer, &query);
    if (status == 0 && !writer->is_open && end >= writer->from)
        status = open_window(writer);
    while (status == 0 && writer->count > 0)
        status = pop(writer, end);
    if (query_close(&query) < 0)
        return -1;
    return writer->name.failed ? no_memory(writer) : status;
}

static int write_thread(struct writer *writer, struct query *thread, int64_t run_id)
{
    size_t size;
    const char *text;

    writer->pid = query_int(thread, PID) + (run_id - 1) * AGAIN;
    writer->tid = query_int(thread, NATIVE) + query_int(thread, THREAD_AGAIN) * AGAIN;
    if (query_int(thread, IS_MAIN) != 0) {
        text = query_text(thread, COMMAND, &size);
        write_metadata(writer, "process_name", text, size);
    }
    text = query_text(thread, NAME, &size);
    write_metadata(writer, "thread_name", text, size);
    return write_events(writer, run_id, query_int(thread, THREAD_ID), query_int(thread, END));
}

static int write_threads(struct writer *writer, int64_t run_id)
{
    struct query threads = query_open(
        writer->db,
        "SELECT t.thread_id, t.name, p.pid, t.native_id, p.command, t.is_main, t.end_ns, "
        "row_number() OVER (PARTITION BY p.pid, t.native_id ORDER BY t.thread_id) - 1 "
        "FROM threads t JOIN processes p USING (process_id) WHERE p.run_id = ?1 AND t.events > 0 "
        "ORDER BY t.thread_id",
        writer->err);
    int status = 0;

    query_bind(&threads, 1, run_id);
    while (status == 0 && query_next(&threads))
        status = write_thread(writer, &threads, run_id);
    return query_close(&threads) < 0 ? -1 : status;
}

/* ---- runs ---- */

static int write_runs(struct writer *writer)
{
    struct query runs = query_open(
        writer->db,
        "SELECT run_id, (SELECT MAX(t.end_ns) FROM threads t JOIN processes p USING (process_id) "
        "WHERE p.run_id = r.run_id) FROM runs r ORDER BY run_id",
        writer->err);
    int status = 0;

    while (status == 0 && query_next(&runs)) {
        int64_t end = query_int(&runs, 1);

        writer->from = trace_text_time(&writer->options->from, end, INT64_MIN);
        writer->to = trace_text_time(&writer->options->to, end, INT64_MAX);
        status = write_threads(writer, query_int(&runs, 0));
    }
    return query_close(&runs) < 0 ? -1 : status;
}

/* Can it be done? Samples are moments, not slices. */
static int look_ahead(sqlite3 *db, const struct format_options *options, struct error *err)
{
    uint64_t sampled;

    if (query_number(db, "SELECT count(*) FROM runs WHERE mode = 'sample'", &sampled, err) < 0)
        return -1;
    if (sampled > 0)
        return error_set(err, "--format chrometrace: samples do not say when calls begin and end; "
                              "--format flamegraph shows them");
    return options->function == NULL ? 0 : trace_text_check_function(db, options->function, err);
}

static void finish(struct writer *writer)
{
    while (writer->count > 0)
        free(writer->stack[--writer->count].c_name);
    free(writer->stack);
    text_fini(&writer->name);
}

static int chrometrace_write(sqlite3 *db, const struct format_options *options, struct output *out,
                             struct error *err)
{
    struct writer writer = {.db = db, .options = options, .out = out, .err = err, .is_first = true};
    struct catalog *catalog;
    int status;

    if (look_ahead(db, options, err) < 0)
        return -1;
    catalog = catalog_load(db, err);
    if (catalog == NULL)
        return -1;
    writer.catalog = catalog;
    status = trace_text_sources_init(&writer.sources, db, err);
    output_text(out, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[");
    if (status == 0)
        status = write_runs(&writer);
    output_text(out, "\n]}\n");
    if (trace_text_sources_fini(&writer.sources) < 0)
        status = -1;
    finish(&writer);
    catalog_free(catalog);
    return status;
}

/* ---- the format ---- */

static bool chrometrace_recognize(const unsigned char *head, int size)
{
    static const char first[] = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[";

    return size >= (int)sizeof first - 1 && memcmp(head, first, sizeof first - 1) == 0;
}

static const char *const suffixes[] = {".trace.json", NULL};

extern const struct format format_chrometrace;
const struct format format_chrometrace = {
    .name = "chrometrace",
    .suffixes = suffixes,
    .summary = "calls on a timeline, for ui.perfetto.dev and chrome://tracing",
    .heeds = FORMAT_HEEDS_TIME,
    .recognize = chrometrace_recognize,
    .write = chrometrace_write,
};
