/* trace_text_walk.c - the threads of a run merged by time, and what of each is shown. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "formats/catalog.h"
#include "formats/error.h"
#include "formats/format.h"
#include "formats/text.h"
#include "formats/trace_text.h"

/* Frames beyond this one are taken for it: a damaged trace can tell of any number. */
enum { DEPTH_MAX = 1 << 20 };

/* A frame on a thread's stack. */
struct frame {
    int64_t level;      /* frames below that are shown */
    int64_t since;      /* -1: not known */
    int64_t activation; /* whose it is; 0: not known */
};

/* A thread that is being read. */
struct stream {
    size_t number; /* in the order of threads: decides between equal times */
    struct query query;
    char *name;           /* owned, printable */
    struct frame *frames; /* owned; [depth - 1] */
    size_t depth, room;
    size_t inside; /* depth of the activation that --function asks for; 0: outside */
    int64_t time;  /* of its next event */
};

struct merge {
    const struct trace_text_walk *walk;
    int64_t from, to;
    struct trace_text_functions functions; /* --function; none: all is shown */
    struct stream **heap;                  /* owned; the earliest is first */
    size_t count, room;
};

static int no_memory(const struct merge *merge)
{
    return error_set(merge->walk->err, "out of memory");
}

/* ---- one thread ---- */

enum { TIME, EVENT, FILE_ID, FUNCTION_ID, LINE, DEPTH, DETAIL, ACTIVATION };

/* To know whether a function is active its begin must be seen, be it before the window. */
static struct query open_events(const struct merge *merge, int64_t thread_id)
{
    struct query query = query_open(
        merge->walk->db,
        "SELECT time_ns, event, file_id, function_id, line, depth, detail, activation "
        "FROM events WHERE run_id = ?1 AND thread_id = ?2 AND time_ns >= ?3 AND time_ns <= ?4",
        merge->walk->err);

    query_bind(&query, 1, merge->walk->run_id);
    query_bind(&query, 2, thread_id);
    query_bind(&query, 3, merge->functions.count > 0 ? INT64_MIN : merge->from);
    query_bind(&query, 4, merge->to);
    return query;
}

static int close_stream(struct stream *stream)
{
    int status = query_close(&stream->query);

    free(stream->name);
    free(stream->frames);
    free(stream);
    return status;
}

static struct stream *open_stream(const struct merge *merge, struct query *thread, size_t number)
{
    struct stream *stream = calloc(1, sizeof *stream);
    struct text name = {0};
    size_t size;
    const char *bytes = query_text(thread, 1, &size);

    if (stream == NULL) {
        no_memory(merge);
        return NULL;
    }
    stream->number = number;
    stream->query = open_events(merge, query_int(thread, 0));
    text_add_printable(&name, bytes, size);
    stream->name = strdup(text_string(&name));
    if (name.failed || stream->name == NULL) {
        no_memory(merge);
        stream->query.failed = true;
    }
    text_fini(&name);
    return stream;
}

/* ---- its stack ---- */

static int reserve(struct stream *stream, size_t depth)
{
    size_t room = stream->room == 0 ? 64 : stream->room;
    struct frame *frames;

    while (room < depth)
        room *= 2;
    if (room == stream->room)
        return 0;
    frames = realloc(stream->frames, room * sizeof *frames);
    if (frames == NULL)
        return -1;
    stream->frames = frames;
    stream->room = room;
    return 0;
}

static int64_t level_below(const struct stream *stream, size_t depth)
{
    return depth < 2 ? 0 : stream->frames[depth - 2].level + 1;
}

/* The stack becomes `depth` frames; those not seen before are taken for shown. */
static int set_depth(struct stream *stream, size_t depth)
{
    if (reserve(stream, depth) < 0)
        return -1;
    for (; stream->depth < depth; stream->depth++)
        stream->frames[stream->depth] =
            (struct frame){.level = level_below(stream, stream->depth + 1), .since = -1};
    stream->depth = depth;
    return 0;
}

static bool begins(enum trace_text_kind kind)
{
    return kind == TRACE_TEXT_CALL || kind == TRACE_TEXT_RESUME;
}

static bool ends(enum trace_text_kind kind)
{
    return kind == TRACE_TEXT_RETURN || kind == TRACE_TEXT_YIELD || kind == TRACE_TEXT_UNWIND;
}

/* A frame begins; one that is not shown leaves the level to those above it. */
static int push(struct stream *stream, size_t depth, int64_t time, bool shown)
{
    int64_t activation = query_int(&stream->query, ACTIVATION);

    if (set_depth(stream, depth - 1) < 0 || set_depth(stream, depth) < 0)
        return -1;
    stream->frames[depth - 1].since = time;
    stream->frames[depth - 1].activation = activation;
    stream->frames[depth - 1].level -= !shown;
    return 0;
}

/* ---- what is shown ---- */

/* The frame on top is that of the event: behind a gap, or on another stack, one that was not seen
 * to begin can be where another was. */
static void know_top(struct stream *stream, size_t depth, int64_t activation)
{
    struct frame *top = depth > 0 ? &stream->frames[depth - 1] : NULL;

    if (top == NULL || top->activation == activation)
        return;
    if (top->activation != 0 && stream->inside == depth)
        stream->inside = 0;
    top->activation = activation;
    top->since = -1;
}

/* Keeps stream->inside, before the event is shown. */
static void look_inside(const struct merge *merge, struct stream *stream, size_t depth)
{
    if (stream->inside > depth)
        stream->inside = 0;
    if (stream->inside == 0 && depth > 0 &&
        trace_text_is_asked(&merge->functions, query_int(&stream->query, FUNCTION_ID)))
        stream->inside = depth;
}

/* Frames of files that are not reported are not shown; events without a file are. */
static bool is_shown(const struct merge *merge, const struct query *query,
                     const struct catalog_file *file, enum trace_text_kind kind)
{
    if (file != NULL)
        return format_file_matches(merge->walk->options->files, file->raw_path);
    return query_is_null(query, FILE_ID) && kind >= TRACE_TEXT_SWITCH;
}

/* The stack as it is when the event has come; what ends is still on it. */
static int move_stack(struct stream *stream, const struct trace_text_event *event, size_t depth,
                      bool shown)
{
    if (begins(event->kind) && depth > 0)
        return push(stream, depth, event->time, shown);
    return set_depth(stream, depth);
}

/* Where the event stands; lines stand within their function. */
static void place_event(const struct stream *stream, struct trace_text_event *event, size_t depth)
{
    int64_t base = stream->inside > 0 ? stream->frames[stream->inside - 1].level : 0;

    if (depth == 0)
        return;
    event->level = stream->frames[depth - 1].level - base;
    if (ends(event->kind))
        event->since = stream->frames[depth - 1].since;
    else if (!begins(event->kind))
        event->level++;
    if (event->level < 0)
        event->level = 0;
}

/* An activation is over. */
static void pop(struct stream *stream, size_t depth)
{
    if (depth > 0)
        stream->depth = depth - 1;
    if (stream->inside == depth)
        stream->inside = 0;
}

/* The row that the stream stands at. */
static int take_event(const struct merge *merge, struct stream *stream)
{
    const struct trace_text_walk *walk = merge->walk;
    struct query *query = &stream->query;
    size_t size;
    struct trace_text_event event = {
        .kind = trace_text_kind(query_text(query, EVENT, &size)),
        .time = stream->time,
        .thread_name = stream->name,
        .file = catalog_file(walk->catalog, query_int(query, FILE_ID)),
        .function = catalog_function(walk->catalog, query_int(query, FUNCTION_ID)),
        .line = query_int(query, LINE),
        .since = -1,
    };
    int64_t given = query_int(query, DEPTH);
    size_t depth = given < 0 ? 0 : given > DEPTH_MAX ? DEPTH_MAX : (size_t)given;
    bool shown = is_shown(merge, query, event.file, event.kind);

    if (move_stack(stream, &event, depth, shown) < 0)
        return no_memory(merge);
    know_top(stream, depth, query_int(query, ACTIVATION));
    look_inside(merge, stream, depth);
    place_event(stream, &event, depth);
    shown =
        shown && event.time >= merge->from && (merge->functions.count == 0 || stream->inside > 0);
    if (ends(event.kind))
        pop(stream, depth);
    if (!shown)
        return 0;
    event.detail = query_text(query, DETAIL, &event.detail_size);
    return query->failed ? -1 : walk->take(walk->context, &event);
}

/* ---- all threads ---- */

static bool is_before(const struct stream *a, const struct stream *b)
{
    return a->time != b->time ? a->time < b->time : a->number < b->number;
}

static void sift_down(struct merge *merge, size_t at)
{
    struct stream **heap = merge->heap, *moving = heap[at];

    for (size_t child; (child = 2 * at + 1) < merge->count; at = child) {
        if (child + 1 < merge->count && is_before(heap[child + 1], heap[child]))
            child++;
        if (!is_before(heap[child], moving))
            break;
        heap[at] = heap[child];
    }
    heap[at] = moving;
}

static void sift_up(struct merge *merge, size_t at)
{
    struct stream **heap = merge->heap, *moving = heap[at];

    for (; at > 0 && is_before(moving, heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = moving;
}

/* The first stream goes on to its next event, or is closed. */
static int advance(struct merge *merge)
{
    struct stream *stream = merge->heap[0];

    if (query_next(&stream->query)) {
        stream->time = query_int(&stream->query, TIME);
        sift_down(merge, 0);
        return 0;
    }
    merge->heap[0] = merge->heap[--merge->count];
    if (merge->count > 0)
        sift_down(merge, 0);
    return close_stream(stream);
}

/* A thread comes in. */
static int add_stream(struct merge *merge, struct stream *stream)
{
    if (merge->count == merge->room) {
        size_t room = merge->room == 0 ? 16 : 2 * merge->room;
        struct stream **heap = realloc(merge->heap, room * sizeof(struct stream *));

        if (heap == NULL) {
            close_stream(stream);
            return no_memory(merge);
        }
        merge->heap = heap;
        merge->room = room;
    }
    if (!query_next(&stream->query))
        return close_stream(stream);
    stream->time = query_int(&stream->query, TIME);
    merge->heap[merge->count++] = stream;
    sift_up(merge, merge->count - 1);
    return 0;
}

/* Reads on until every thread that has begun by `time` is in. */
static int add_threads(struct merge *merge, struct query *threads, size_t *number, bool *more,
                       int64_t time)
{
    while (*more && query_int(threads, 2) <= time) {
        struct stream *stream = open_stream(merge, threads, (*number)++);

        if (stream == NULL || add_stream(merge, stream) < 0)
            return -1;
        *more = query_next(threads);
    }
    return 0;
}

/* A thread is opened when its time has come and closed at its end: those between are alive. */
static int merge_threads(struct merge *merge, struct query *threads)
{
    bool more = query_next(threads);
    size_t number = 0;
    int status = 0;

    while (status == 0 && (more || merge->count > 0)) {
        int64_t time = merge->count > 0 ? merge->heap[0]->time : query_int(threads, 2);

        status = add_threads(merge, threads, &number, &more, time);
        if (status != 0 || merge->count == 0 || merge->heap[0]->time > time)
            continue; /* other threads may have begun by then */
        status = take_event(merge, merge->heap[0]);
        if (status == 0)
            status = advance(merge);
    }
    while (merge->count > 0)
        if (close_stream(merge->heap[--merge->count]) < 0)
            status = -1;
    return status;
}

static int walk_merged(struct merge *merge)
{
    struct query threads = query_open(
        merge->walk->db,
        "SELECT t.thread_id, t.name, t.start_ns FROM threads t JOIN processes p USING (process_id) "
        "WHERE p.run_id = ?1 AND t.events > 0 ORDER BY t.start_ns, t.thread_id",
        merge->walk->err);
    int status;

    query_bind(&threads, 1, merge->walk->run_id);
    status = merge_threads(merge, &threads);
    return query_close(&threads) < 0 ? -1 : status;
}

/* One thread after the other. */
static int walk_split(struct merge *merge)
{
    struct query threads =
        query_open(merge->walk->db,
                   "SELECT t.thread_id, t.name FROM threads t JOIN processes p USING (process_id) "
                   "WHERE p.run_id = ?1 AND t.events > 0 ORDER BY t.thread_id",
                   merge->walk->err);
    int status = 0;

    query_bind(&threads, 1, merge->walk->run_id);
    while (status == 0 && query_next(&threads)) {
        struct stream *stream = open_stream(merge, &threads, 0);

        if (stream == NULL)
            return -1;
        while (status == 0 && query_next(&stream->query)) {
            stream->time = query_int(&stream->query, TIME);
            status = take_event(merge, stream);
        }
        if (close_stream(stream) < 0)
            status = -1;
    }
    return query_close(&threads) < 0 ? -1 : status;
}

/* ---- what is asked for ---- */

int64_t trace_text_time(const struct format_time *time, int64_t end, int64_t otherwise)
{
    if (!time->given)
        return otherwise;
    return time->from_end ? end - time->ns : time->ns;
}

int trace_text_walk(const struct trace_text_walk *walk)
{
    struct merge merge = {
        .walk = walk,
        .from = trace_text_time(&walk->options->from, walk->end, INT64_MIN),
        .to = trace_text_time(&walk->options->to, walk->end, INT64_MAX),
    };
    int status = 0;

    if (walk->options->function != NULL)
        status = trace_text_find_functions(&merge.functions, walk->db, walk->options->function,
                                           walk->err);
    if (status == 0)
        status = walk->options->per_thread ? walk_split(&merge) : walk_merged(&merge);
    free(merge.heap);
    trace_text_functions_fini(&merge.functions);
    return status;
}
