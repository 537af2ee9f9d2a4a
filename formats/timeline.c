#include "formats/timeline.h"

#include <stdlib.h>
#include <string.h>

#include "formats/catalog.h"
#include "formats/error.h"
#include "formats/format.h"
#include "formats/output.h"
#include "formats/query.h"
#include "formats/text.h"
#include "formats/timeline_stack.h"
#include "formats/trace_text.h"

/* Where a process id or thread id is used again, the second is so much more: no id is. */
#define AGAIN (INT64_C(1) << 22)

struct timeline {
    sqlite3 *db;
    const struct format_options *options;
    struct output *out;
    struct error *err;
    struct catalog *catalog; /* owned */
    struct trace_text_sources sources;
    struct trace_text_functions asked; /* by --function */
    struct text name;
    const struct timeline_listener *listener;
    struct timeline_stack stack;        /* of the thread that is being played */
    struct timeline_activation *frames; /* owned; what a row's `stack` says */
    size_t frame_count, frame_room;
};

static int no_memory(const struct timeline *timeline)
{
    return error_set(timeline->err, "out of memory");
}

/* ---- names ---- */

static int name_line(struct timeline *timeline, const struct timeline_slice *slice)
{
    const struct trace_text_source *source =
        trace_text_source(&timeline->sources, slice->function->file->id, slice->line);

    if (source == NULL)
        return -1;
    text_add_format(&timeline->name, source->size > 0 ? "%lld: " : "line %lld",
                    (long long)slice->line);
    text_add_printable(&timeline->name, source->text, source->size);
    return 0;
}

const char *timeline_name(struct timeline *timeline, const struct timeline_slice *slice)
{
    struct text *name = &timeline->name;

    text_clear(name);
    if (slice->kind == TIMELINE_C)
        text_add_printable(name, slice->c_name, strlen(slice->c_name));
    else if (slice->kind == TIMELINE_FUNCTION)
        text_add_string(name, slice->function != NULL ? slice->function->qualname : "<unknown>");
    else if (name_line(timeline, slice) < 0)
        return NULL;
    if (name->failed)
        no_memory(timeline);
    return name->failed ? NULL : text_string(name);
}

/* ---- rows ---- */

#define OF_THREAD                                                                                  \
    " FROM events WHERE run_id = ?1 AND thread_id = ?2 AND time_ns >= ?3 AND time_ns <= ?4"

static const char events_sql[] =
    "SELECT time_ns, event, detail, stack, function_id, line, activation, "
    "function_id IS NULL AND function <> '<unknown>'" OF_THREAD;
static const char samples_sql[] =
    "SELECT time_ns, event, detail, stack, self_ns, self_cpu_ns, samples" OF_THREAD;

enum { TIME, EVENT, DETAIL, STACK, FUNCTION_ID, LINE, ACTIVATION, IS_EXCLUDED };
enum { SELF = FUNCTION_ID, SELF_CPU, SAMPLES };

static int64_t time_of(const struct query *query)
{
    return (int64_t)query_sum(query, TIME);
}

/* That of a row, or of a part of its stack. */
static struct timeline_activation make_frame(struct timeline *timeline, int64_t function_id,
                                             bool is_excluded)
{
    const struct format_options *options = timeline->options;
    const struct catalog_function *function = catalog_function(timeline->catalog, function_id);

    return (struct timeline_activation){
        .function = function,
        .inside = options->function == NULL || trace_text_is_asked(&timeline->asked, function_id),
        .is_shown = !is_excluded && (function == NULL ||
                                     format_file_matches(options->files, function->file->raw_path)),
    };
}

/* The number at *at, 0 for anything else, and moves behind what follows it. */
static int64_t next_number(const char **at)
{
    char *end;
    int64_t number = strtoll(*at, &end, 10);

    *at = end + strcspn(end, ",[]");
    *at += **at == ',';
    return number;
}

/* The next frame of the array at *at (profile.sql); false at its end. */
static bool next_frame(struct timeline *timeline, const char **at,
                       struct timeline_activation *frame)
{
    bool is_excluded;

    if (**at != '[')
        return false;
    is_excluded = *++*at == '0';
    *frame = make_frame(timeline, next_number(at), is_excluded);
    frame->line = next_number(at);
    frame->id = **at == ']' ? 0 : next_number(at);
    *at += **at == ']';
    *at += **at == ',';
    return true;
}

static bool make_room(struct timeline *timeline)
{
    size_t room = timeline->frame_room == 0 ? 64 : 2 * timeline->frame_room;
    struct timeline_activation *frames;

    if (timeline->frame_count < timeline->frame_room)
        return true;
    frames = realloc(timeline->frames, room * sizeof *frames);
    if (frames == NULL)
        return false;
    timeline->frames = frames;
    timeline->frame_room = room;
    return true;
}

/* Frames that are not shown say nothing of what samples found: those above them may go on. */
static int read_frames(struct timeline *timeline, struct query *query, bool of_sample)
{
    size_t size;
    const char *at = query_text(query, STACK, &size);
    struct timeline_activation frame;
    bool inside = false;

    timeline->frame_count = 0;
    at += *at == '[';
    while (next_frame(timeline, &at, &frame)) {
        inside = frame.inside = inside || frame.inside;
        if (of_sample && (!frame.is_shown || !inside))
            continue;
        if (!make_room(timeline))
            return no_memory(timeline);
        timeline->frames[timeline->frame_count++] = frame;
    }
    return 0;
}

/* The stack becomes what was read, but for `less` innermost frames. */
static int become(struct timeline *timeline, size_t less, int64_t time)
{
    size_t count = timeline->frame_count;

    return timeline_stack_become(&timeline->stack, timeline->frames,
                                 count > less ? count - less : 0, time);
}

/* ---- events ---- */

static bool begins(enum trace_text_kind kind)
{
    return kind == TRACE_TEXT_CALL || kind == TRACE_TEXT_RESUME;
}

/* Frames that this row's thread has and no row before it told of. */
static int learn_stack(struct timeline *timeline, struct query *query, enum trace_text_kind kind,
                       int64_t time)
{
    if (query_is_null(query, STACK))
        return 0;
    if (read_frames(timeline, query, false) < 0)
        return -1;
    if (kind == TRACE_TEXT_LINE && timeline->frame_count > 0)
        timeline->frames[timeline->frame_count - 1].line = 0; /* it begins with this row */
    return become(timeline, begins(kind), time);
}

static int take_begin(struct timeline *timeline, struct query *query, enum trace_text_kind kind,
                      int64_t time)
{
    struct timeline_activation frame =
        make_frame(timeline, query_int(query, FUNCTION_ID), query_int(query, IS_EXCLUDED) != 0);

    frame.id = query_int(query, ACTIVATION);
    frame.line = kind == TRACE_TEXT_RESUME ? query_int(query, LINE) : 0;
    return timeline_stack_push(&timeline->stack, frame, time);
}

static int take_c_call(struct timeline *timeline, struct query *query, int64_t time)
{
    size_t size;
    const char *name = query_text(query, DETAIL, &size);
    struct timeline_activation activation = {.inside = timeline->options->function == NULL,
                                             .is_shown = true};

    activation.c_name = size > 0 ? strndup(name, size) : strdup("<unknown>");
    if (activation.c_name == NULL)
        return no_memory(timeline);
    return timeline_stack_push(&timeline->stack, activation, time);
}

static int take_end(struct timeline *timeline, enum trace_text_kind kind, int64_t time)
{
    struct timeline_activation *top;
    bool is_of_c = kind == TRACE_TEXT_C_RETURN;

    if (!is_of_c && timeline_stack_leave_c(&timeline->stack, time) < 0)
        return -1;
    top = timeline_stack_top(&timeline->stack);
    if (top == NULL || (top->c_name != NULL) != is_of_c)
        return 0;
    return timeline_stack_pop(&timeline->stack, time);
}

static int take_line(struct timeline *timeline, struct query *query, int64_t time)
{
    if (timeline_stack_leave_c(&timeline->stack, time) < 0)
        return -1;
    return timeline_stack_set_line(&timeline->stack, query_int(query, LINE), time);
}

/* Marks and gaps are of all, exceptions of what --function asks for. */
static int tell_instant(struct timeline *timeline, struct query *query, const char *kind,
                        int64_t time)
{
    const struct timeline_activation *top = timeline_stack_top(&timeline->stack);
    bool is_mark = strcmp(kind, "mark") == 0;
    size_t size;
    const char *detail = query_text(query, DETAIL, &size);

    if (timeline->listener->instant == NULL || time < timeline->stack.from ||
        time > timeline->stack.to)
        return 0;
    if (!is_mark && timeline->options->function != NULL && (top == NULL || !top->inside))
        return 0;
    text_clear(&timeline->name);
    if (!is_mark)
        text_add_format(&timeline->name, "%s ", strcmp(kind, "gap") == 0 ? "not recorded:" : kind);
    text_add_printable(&timeline->name, detail, size);
    timeline->listener->instant(timeline->listener->context, kind, text_string(&timeline->name),
                                time);
    return timeline->name.failed ? no_memory(timeline) : 0;
}

/* What is not recorded is in no slice, but that a few events were lost breaks none. */
static int take_gap(struct timeline *timeline, struct query *query, int64_t time)
{
    size_t size;

    if (tell_instant(timeline, query, "gap", time) < 0)
        return -1;
    if (strcmp(query_text(query, DETAIL, &size), "lost") == 0)
        return 0;
    return timeline_stack_cut(&timeline->stack, 0, time);
}

static int take_event(struct timeline *timeline, struct query *query)
{
    size_t size;
    enum trace_text_kind kind = trace_text_kind(query_text(query, EVENT, &size));
    int64_t time = time_of(query);

    if (!timeline->stack.is_open && time >= timeline->stack.from &&
        timeline_stack_open(&timeline->stack) < 0)
        return -1;
    if (kind == TRACE_TEXT_OTHER)
        return take_gap(timeline, query, time);
    if (learn_stack(timeline, query, kind, time) < 0)
        return -1;
    switch (kind) {
    case TRACE_TEXT_CALL:
    case TRACE_TEXT_RESUME:
        return take_begin(timeline, query, kind, time);
    case TRACE_TEXT_LINE:
        return take_line(timeline, query, time);
    case TRACE_TEXT_C_CALL:
        return take_c_call(timeline, query, time);
    case TRACE_TEXT_MARK:
        return tell_instant(timeline, query, "mark", time);
    case TRACE_TEXT_RAISE:
        return tell_instant(timeline, query, "raise", time);
    case TRACE_TEXT_SWITCH:
        return 0;
    default:
        return take_end(timeline, kind, time);
    }
}

/* ---- samples ---- */

static int tell_weight(struct timeline *timeline, struct timeline_weight weight)
{
    const struct timeline_listener *listener = timeline->listener;

    return listener->pass == NULL ? 0 : listener->pass(listener->context, &weight);
}

/* Nothing is known of the time from where the stack is to `time`. */
static int pass_unknown(struct timeline *timeline, int64_t time)
{
    struct timeline_stack *stack = &timeline->stack;
    int64_t from = stack->now;

    if (time <= from)
        return 0;
    if (timeline_stack_cut(stack, 0, from) < 0)
        return -1;
    stack->now = time;
    return tell_weight(timeline, (struct timeline_weight){.ns = time - from});
}

/* It stands for the time before it, of which the window may cut some off. 1: it lies behind. */
static int take_sample(struct timeline *timeline, struct query *query)
{
    struct timeline_stack *stack = &timeline->stack;
    int64_t time = time_of(query), start = time - (int64_t)query_sum(query, SELF);
    struct timeline_weight weight = {.samples = (int64_t)query_sum(query, SAMPLES)};

    if (start >= stack->to && time > stack->to)
        return 1;
    if (pass_unknown(timeline, start) < 0 || read_frames(timeline, query, true) < 0 ||
        become(timeline, 0, stack->now) < 0)
        return -1;
    start = stack->now;
    if (time > stack->to)
        time = stack->to;
    weight.ns = time > start ? time - start : 0;
    weight.cpu_ns = (int64_t)query_sum(query, SELF_CPU);
    if (weight.cpu_ns > weight.ns)
        weight.cpu_ns = weight.ns;
    stack->now += weight.ns;
    return tell_weight(timeline, weight);
}

static int take_sampled(struct timeline *timeline, struct query *query)
{
    struct timeline_stack *stack = &timeline->stack;
    int64_t time = time_of(query);
    size_t size;

    if (trace_text_kind(query_text(query, EVENT, &size)) == TRACE_TEXT_SAMPLE)
        return take_sample(timeline, query);
    if (time > stack->to)
        return 1;
    if (pass_unknown(timeline, time) < 0 || timeline_stack_cut(stack, 0, stack->now) < 0)
        return -1;
    return tell_instant(timeline, query, "gap", time);
}

/* ---- a thread ---- */

/* What is open when a window begins must be seen to begin, be it before the window. A sample tells
 * all by itself; one that ends behind the window may reach into it. */
static struct query open_events(struct timeline *timeline, const struct timeline_thread *thread)
{
    struct query query =
        query_open(timeline->db, thread->is_sampled ? samples_sql : events_sql, timeline->err);

    query_bind(&query, 1, thread->run_id);
    query_bind(&query, 2, thread->id);
    query_bind(&query, 3, thread->is_sampled ? thread->from : INT64_MIN);
    query_bind(&query, 4, thread->is_sampled ? INT64_MAX : thread->end);
    return query;
}

static int finish_thread(struct timeline *timeline, const struct timeline_thread *thread)
{
    struct timeline_stack *stack = &timeline->stack;

    if (!stack->is_open && thread->end >= thread->start && timeline_stack_open(stack) < 0)
        return -1;
    if (thread->is_sampled)
        return pass_unknown(timeline, thread->end) < 0 ? -1
                                                       : timeline_stack_cut(stack, 0, stack->now);
    return timeline_stack_cut(stack, 0, thread->end);
}

int timeline_play(struct timeline *timeline, const struct timeline_thread *thread,
                  const struct timeline_listener *listener)
{
    struct query query = open_events(timeline, thread);
    int status = 0;

    timeline->listener = listener;
    timeline->stack = (struct timeline_stack){
        .listener = listener,
        .err = timeline->err,
        .has_lines = timeline->options->lines,
        .is_open = thread->is_sampled,
        .from = thread->from,
        .to = thread->end, /* a trace that still grows has more */
        .now = thread->is_sampled ? thread->start : thread->from,
    };
    while (status == 0 && query_next(&query) && !output_failed(timeline->out))
        status = thread->is_sampled ? take_sampled(timeline, &query) : take_event(timeline, &query);
    if (status >= 0)
        status = finish_thread(timeline, thread);
    timeline_stack_fini(&timeline->stack);
    if (query_close(&query) < 0)
        return -1;
    return status;
}

/* ---- threads ---- */

static const char threads_sql[] =
    "SELECT t.thread_id, r.run_id, p.pid, t.native_id, "
    "row_number() OVER (PARTITION BY r.run_id, p.pid, t.native_id, t.events > 0 "
    "ORDER BY t.thread_id) - 1, "
    "t.name, p.command, t.is_main, r.mode = 'sample', t.start_ns, t.end_ns, "
    "max(t.end_ns) OVER (PARTITION BY r.run_id), t.events > 0 "
    "FROM threads t JOIN processes p USING (process_id) JOIN runs r USING (run_id) "
    "ORDER BY r.run_id, t.process_id, t.is_main DESC, t.thread_id";

enum {
    THREAD_ID,
    RUN_ID,
    PID,
    NATIVE_ID,
    TIMES_USED,
    NAME,
    COMMAND,
    IS_MAIN,
    IS_SAMPLED,
    START,
    END,
    RUN_END,
    HAS_EVENTS,
};

static const char *printable(struct text *text, struct query *query, int column)
{
    size_t size;
    const char *bytes = query_text(query, column, &size);

    text_clear(text);
    text_add_printable(text, bytes, size);
    return text_string(text);
}

static void cut_to_window(struct timeline_thread *thread, const struct format_options *options,
                          int64_t run_end)
{
    int64_t to = trace_text_time(&options->to, run_end, INT64_MAX);

    thread->from = trace_text_time(&options->from, run_end, INT64_MIN);
    if (thread->start < thread->from)
        thread->start = thread->from;
    if (thread->end > to)
        thread->end = to;
}

static struct timeline_thread read_thread(struct query *query)
{
    struct timeline_thread thread = {
        .id = query_int(query, THREAD_ID),
        .run_id = query_int(query, RUN_ID),
        .pid = query_int(query, PID),
        .native_id = query_int(query, NATIVE_ID),
        .is_main = query_int(query, IS_MAIN) != 0,
        .is_sampled = query_int(query, IS_SAMPLED) != 0,
        .start = (int64_t)query_sum(query, START),
        .end = (int64_t)query_sum(query, END),
    };

    thread.pid_shown = thread.pid + (thread.run_id - 1) * AGAIN;
    thread.native_id_shown = thread.native_id + query_int(query, TIMES_USED) * AGAIN;
    return thread;
}

int timeline_threads(struct timeline *timeline,
                     int (*take)(void *context, const struct timeline_thread *thread),
                     void *context)
{
    struct query query = query_open(timeline->db, threads_sql, timeline->err);
    struct text name = {0}, command = {0};
    int status = 0;

    while (status == 0 && query_next(&query)) {
        struct timeline_thread thread = read_thread(&query);

        if (query_int(&query, HAS_EVENTS) == 0)
            continue;
        cut_to_window(&thread, timeline->options, (int64_t)query_sum(&query, RUN_END));
        thread.name = printable(&name, &query, NAME);
        thread.command = printable(&command, &query, COMMAND);
        status = name.failed || command.failed ? no_memory(timeline) : take(context, &thread);
    }
    text_fini(&name);
    text_fini(&command);
    return query_close(&query) < 0 ? -1 : status;
}

/* ---- the whole ---- */

static int begin_reading(struct timeline *timeline)
{
    const char *function = timeline->options->function;

    timeline->catalog = catalog_load(timeline->db, timeline->err);
    if (timeline->catalog == NULL)
        return -1;
    if (function != NULL &&
        trace_text_find_functions(&timeline->asked, timeline->db, function, timeline->err) < 0)
        return -1;
    return trace_text_sources_init(&timeline->sources, timeline->db, timeline->err);
}

struct timeline *timeline_open(sqlite3 *db, const struct format_options *options,
                               struct output *out, struct error *err)
{
    struct timeline *timeline = calloc(1, sizeof *timeline);

    if (timeline == NULL) {
        error_set(err, "out of memory");
        return NULL;
    }
    timeline->db = db;
    timeline->options = options;
    timeline->out = out;
    timeline->err = err;
    if (begin_reading(timeline) < 0) {
        timeline_close(timeline);
        return NULL;
    }
    return timeline;
}

int timeline_close(struct timeline *timeline)
{
    int status;

    if (timeline == NULL)
        return 0;
    status = trace_text_sources_fini(&timeline->sources);
    trace_text_functions_fini(&timeline->asked);
    catalog_free(timeline->catalog);
    text_fini(&timeline->name);
    free(timeline->frames);
    free(timeline);
    return status;
}
