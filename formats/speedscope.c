/* speedscope.c - a timeline of each thread for speedscope, as its own files have it: the schema is
 * https://www.speedscope.app/file-format-schema.json, made of src/lib/file-format-spec.ts in
 * https://github.com/jlfwong/speedscope.
 *
 * What is open when, timeline.h says. Of an exact trace a thread is a profile of type "evented": a
 * record where a slice begins (O) and one where it ends (C), written as they come. Of samples it is
 * one of type "sampled": stacks, and what each weighs; of those that are the same one after the
 * other there is one. Stacks and weights are two arrays, so such a thread is played twice: what is
 * in memory does not grow with time. Frames are numbered when they are first seen, and stand at the
 * end.
 *
 * Time for which no frame is known, gaps among it, weighs with an empty stack: so weights add up to
 * the thread's time, and all else stands where it was. Threads without a slice are left out.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "formats/catalog.h"
#include "formats/error.h"
#include "formats/format.h"
#include "formats/keymap.h"
#include "formats/names.h"
#include "formats/output.h"
#include "formats/pool.h"
#include "formats/query.h"
#include "formats/text.h"
#include "formats/timeline.h"

#define HEAD "{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\""

/* speedscope hangs on a file without any profile. */
#define NOTHING                                                                                    \
    "\n{\"type\":\"evented\",\"name\":\"nothing\",\"unit\":\"nanoseconds\",\"events\":["           \
    "],\"startValue\":0,\"endValue\":0}"

struct frame {
    const char *name;
    const struct catalog_file *file; /* NULL: none */
    int64_t line;
};

struct writer {
    sqlite3 *db;
    const struct format_options *options;
    struct timeline *timeline;
    struct output *out;
    struct error *err;
    const char *separator; /* before the next record of an array */
    bool has_profile;

    struct frame *frames; /* owned */
    size_t frame_count, frame_room;
    struct keymap numbers; /* of frames, from 1 */
    struct names c_names;
    struct pool pool; /* owns names */
    struct text name; /* being written, of a profile or all of them */

    /* Of the thread that is being written. */
    const struct timeline_thread *thread;
    bool has_head;         /* its profile has begun */
    bool writes_weights;   /* not stacks */
    int64_t weight, total; /* of the stack as it is; of those before it */
    uint32_t *stack;       /* owned; numbers of frames, from 0 */
    size_t depth, room;
};

static int no_memory(const struct writer *writer)
{
    return error_set(writer->err, "out of memory");
}

/* ---- JSON ---- */

static void begin_array(struct writer *writer, const char *name)
{
    output_format(writer->out, "\"%s\":[", name);
    writer->separator = "\n";
}

/* The next record stands on a line of its own. */
static void begin_record(struct writer *writer)
{
    output_text(writer->out, writer->separator);
    writer->separator = ",\n";
}

static void write_number(struct writer *writer, const char *key, int64_t number)
{
    output_format(writer->out, ",\"%s\":%" PRId64, key, number);
}

/* ---- frames ---- */

/* Ids and lines are below 2^32, and no function has the id 0. */
static int find_key(struct writer *writer, const struct timeline_slice *slice, uint64_t *key)
{
    int64_t number;

    if (slice->kind == TIMELINE_C) {
        number = names_number(&writer->c_names, slice->c_name, strlen(slice->c_name));
        *key = (uint64_t)number + 1;
        return number < 0 ? no_memory(writer) : 0;
    }
    *key = slice->function != NULL ? (uint64_t)slice->function->id << 32 : 0;
    if (slice->kind == TIMELINE_LINE)
        *key |= (uint32_t)slice->line;
    return 0;
}

/* A frame's line is where the function begins; with --lines, lines are frames of their own. */
static int add_frame(struct writer *writer, const struct timeline_slice *slice)
{
    const struct catalog_function *function = slice->function;
    const char *name = timeline_name(writer->timeline, slice);
    struct frame *frame;

    if (name == NULL)
        return -1;
    if (writer->frame_count == writer->frame_room) {
        size_t room = writer->frame_room == 0 ? 256 : 2 * writer->frame_room;
        struct frame *frames = realloc(writer->frames, room * sizeof *frames);

        if (frames == NULL)
            return no_memory(writer);
        writer->frames = frames;
        writer->frame_room = room;
    }
    frame = &writer->frames[writer->frame_count];
    *frame = (struct frame){.name = pool_string(&writer->pool, name, strlen(name))};
    if (function != NULL) {
        frame->file = function->file;
        frame->line = slice->kind == TIMELINE_LINE ? slice->line : function->first_line;
    }
    writer->frame_count++;
    return frame->name == NULL ? no_memory(writer) : 0;
}

/* From 0; -1 with the error set. */
static int64_t frame_number(struct writer *writer, const struct timeline_slice *slice)
{
    struct keymap_slot *slot;
    uint64_t key = 0;

    if (find_key(writer, slice, &key) < 0)
        return -1;
    slot = keymap_slot(&writer->numbers, key);
    if (slot == NULL || writer->frame_count >= UINT32_MAX)
        return no_memory(writer);
    if (slot->value == 0) {
        if (add_frame(writer, slice) < 0)
            return -1;
        slot->value = (uint32_t)writer->frame_count;
    }
    return slot->value - 1;
}

static void write_frame(struct writer *writer, const struct frame *frame)
{
    begin_record(writer);
    output_text(writer->out, "{\"name\":");
    output_json_string(writer->out, frame->name);
    if (frame->file != NULL) {
        output_text(writer->out, ",\"file\":");
        output_json_string(writer->out, frame->file->shown);
        write_number(writer, "line", frame->line);
    }
    output_text(writer->out, "}");
}

/* ---- a thread ---- */

/* Its profile, up to the first of its arrays. */
static int write_head(struct writer *writer)
{
    const struct timeline_thread *thread = writer->thread;

    if (writer->has_head)
        return 0;
    writer->has_head = writer->has_profile = true;
    text_clear(&writer->name);
    text_add_format(&writer->name, "%s [%" PRId64 "] of process %" PRId64, thread->name,
                    thread->native_id, thread->pid);
    begin_record(writer);
    output_format(writer->out,
                  "{\"type\":\"%s\",\"name\":", thread->is_sampled ? "sampled" : "evented");
    output_json_string(writer->out, text_string(&writer->name));
    output_format(writer->out, ",\"unit\":\"%s\",",
                  writer->options->weight == FORMAT_WEIGHT_HITS ? "none" : "nanoseconds");
    begin_array(writer, thread->is_sampled ? "samples" : "events");
    return writer->name.failed ? no_memory(writer) : 0;
}

static void write_tail(struct writer *writer, int64_t start, int64_t end)
{
    output_text(writer->out, "\n]");
    write_number(writer, "startValue", start);
    write_number(writer, "endValue", end);
    output_text(writer->out, "}");
    writer->separator = ",\n";
}

/* ---- of an exact trace ---- */

static int write_event(struct writer *writer, char type, const struct timeline_slice *slice,
                       int64_t time)
{
    int64_t number = frame_number(writer, slice);

    if (number < 0 || write_head(writer) < 0)
        return -1;
    begin_record(writer);
    output_format(writer->out, "{\"type\":\"%c\",\"frame\":%" PRId64 ",\"at\":%" PRId64 "}", type,
                  number, time);
    return 0;
}

static int write_open(void *context, const struct timeline_slice *slice, int64_t time)
{
    return write_event(context, 'O', slice, time);
}

static int write_close(void *context, const struct timeline_slice *slice, int64_t time)
{
    return write_event(context, 'C', slice, time);
}

static int write_exact(struct writer *writer)
{
    const struct timeline_listener listener = {
        .begin = write_open, .end = write_close, .context = writer};

    if (timeline_play(writer->timeline, writer->thread, &listener) < 0)
        return -1;
    if (writer->has_head)
        write_tail(writer, writer->thread->start, writer->thread->end);
    return 0;
}

/* ---- of samples ---- */

/* The stack changes: it weighs what has come together. */
static int write_sample(struct writer *writer)
{
    if (writer->weight == 0)
        return 0;
    if (write_head(writer) < 0)
        return -1;
    begin_record(writer);
    if (writer->writes_weights) {
        output_uint(writer->out, (uint64_t)writer->weight);
    } else {
        for (size_t i = 0; i < writer->depth; i++) {
            output_text(writer->out, i == 0 ? "[" : ",");
            output_uint(writer->out, writer->stack[i]);
        }
        output_text(writer->out, writer->depth == 0 ? "[]" : "]");
    }
    writer->total += writer->weight;
    writer->weight = 0;
    return 0;
}

static int push_frame(void *context, const struct timeline_slice *slice, int64_t time)
{
    struct writer *writer = context;
    int64_t number = frame_number(writer, slice);

    (void)time;
    if (number < 0 || write_sample(writer) < 0)
        return -1;
    if (writer->depth == writer->room) {
        size_t room = writer->room == 0 ? 64 : 2 * writer->room;
        uint32_t *stack = realloc(writer->stack, room * sizeof *stack);

        if (stack == NULL)
            return no_memory(writer);
        writer->stack = stack;
        writer->room = room;
    }
    writer->stack[writer->depth++] = (uint32_t)number;
    return 0;
}

static int pop_frame(void *context, const struct timeline_slice *slice, int64_t time)
{
    struct writer *writer = context;

    (void)slice;
    (void)time;
    if (write_sample(writer) < 0)
        return -1;
    writer->depth--;
    return 0;
}

static int weigh(void *context, const struct timeline_weight *weight)
{
    struct writer *writer = context;
    const int64_t weights[] = {[FORMAT_WEIGHT_SELF] = weight->ns,
                               [FORMAT_WEIGHT_CPU] = weight->cpu_ns,
                               [FORMAT_WEIGHT_HITS] = weight->samples};

    writer->weight += weights[writer->options->weight];
    return 0;
}

static int write_half(struct writer *writer, bool weights)
{
    const struct timeline_listener listener = {
        .begin = push_frame, .end = pop_frame, .pass = weigh, .context = writer};

    writer->writes_weights = weights;
    writer->weight = writer->total = 0;
    writer->depth = 0;
    if (timeline_play(writer->timeline, writer->thread, &listener) < 0)
        return -1;
    return writer->has_head ? write_sample(writer) : 0;
}

static int write_sampled(struct writer *writer)
{
    bool is_time = writer->options->weight == FORMAT_WEIGHT_SELF;

    if (write_half(writer, false) < 0)
        return -1;
    if (!writer->has_head)
        return 0;
    output_text(writer->out, "\n],");
    begin_array(writer, "weights");
    if (write_half(writer, true) < 0)
        return -1;
    write_tail(writer, is_time ? writer->thread->start : 0,
               is_time ? writer->thread->end : writer->total);
    return 0;
}

static int write_thread(void *context, const struct timeline_thread *thread)
{
    struct writer *writer = context;

    writer->thread = thread;
    writer->has_head = false;
    return thread->is_sampled ? write_sampled(writer) : write_exact(writer);
}

/* ---- the whole ---- */

static int write_name(struct writer *writer)
{
    struct query query =
        query_open(writer->db, "SELECT command FROM runs ORDER BY run_id LIMIT 1", writer->err);
    size_t size;

    if (query_next(&query)) {
        const char *command = query_text(&query, 0, &size);

        text_add_printable(&writer->name, command, size);
    }
    output_text(writer->out, ",\n\"name\":");
    output_json_string(writer->out, writer->name.size > 0 ? text_string(&writer->name) : "pyrec");
    if (query_close(&query) < 0)
        return -1;
    return writer->name.failed ? no_memory(writer) : 0;
}

static int write_all(struct writer *writer)
{
    output_text(writer->out, HEAD ",\"exporter\":\"pyrec@" PYREC_VERSION "\"");
    if (write_name(writer) < 0)
        return -1;
    output_text(writer->out, ",\n");
    begin_array(writer, "profiles");
    if (timeline_threads(writer->timeline, write_thread, writer) < 0)
        return -1;
    if (!writer->has_profile)
        output_text(writer->out, NOTHING);
    output_text(writer->out, "\n],\n\"shared\":{");
    begin_array(writer, "frames");
    for (size_t i = 0; i < writer->frame_count; i++)
        write_frame(writer, &writer->frames[i]);
    output_text(writer->out, "\n]}}\n");
    return 0;
}

/* An exact trace is shown as time passes; its CPU time is known of sums, not of moments. */
static int check_weight(sqlite3 *db, const struct format_options *options, struct error *err)
{
    bool is_sampled;

    if (options->weight == FORMAT_WEIGHT_SELF)
        return 0;
    if (query_is_sampled(db, &is_sampled, err) < 0)
        return -1;
    return is_sampled
               ? 0
               : error_set(err, "--format speedscope: --by cpu and --by hits are of samples; "
                                "--format folded has them of exact recordings");
}

static int speedscope_write(sqlite3 *db, const struct format_options *options, struct output *out,
                            struct error *err)
{
    struct writer writer = {.db = db, .options = options, .out = out, .err = err};
    int status;

    if (check_weight(db, options, err) < 0)
        return -1;
    writer.timeline = timeline_open(db, options, out, err);
    if (writer.timeline == NULL)
        return -1;
    writer.c_names.pool = &writer.pool;
    status = write_all(&writer);
    names_fini(&writer.c_names);
    keymap_fini(&writer.numbers);
    pool_fini(&writer.pool);
    text_fini(&writer.name);
    free(writer.frames);
    free(writer.stack);
    return timeline_close(writer.timeline) < 0 ? -1 : status;
}

/* ---- the format ---- */

static bool speedscope_recognize(const unsigned char *head, int size)
{
    return size >= (int)sizeof HEAD - 1 && memcmp(head, HEAD, sizeof HEAD - 1) == 0;
}

static const char *const suffixes[] = {".speedscope.json", ".speedscope", NULL};

extern const struct format format_speedscope;
const struct format format_speedscope = {
    .name = "speedscope",
    .suffixes = suffixes,
    .summary = "a timeline of each thread, for speedscope.app",
    .heeds = FORMAT_HEEDS_TIME | FORMAT_HEEDS_WEIGHT,
    .recognize = speedscope_recognize,
    .write = speedscope_write,
};
