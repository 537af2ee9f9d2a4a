/* chrometrace.c - each activation of a function as a slice of time: the "JSON object format" of
 * Chrome's Trace Event Format, which ui.perfetto.dev, chrome://tracing and speedscope show.
 *
 * What slices there are, and when, timeline.h says; of samples as of exact traces.
 *
 * Times are whole nanoseconds from the start of the run, written as microseconds with three
 * decimals. A slice is a record where it begins (B) and one where it ends (E), in the order of the
 * stack: as the sum of begin and duration (X), of which viewers keep the nearest binary fractions,
 * ends that are the same would not be, and slices would overlap. Marks, exceptions and gaps are
 * instants.
 */
#include <string.h>

#include "formats/catalog.h"
#include "formats/error.h"
#include "formats/format.h"
#include "formats/output.h"
#include "formats/text.h"
#include "formats/timeline.h"

struct writer {
    struct timeline *timeline;
    struct output *out;
    struct error *err;
    const struct timeline_thread *thread; /* being written */
    struct text place;
    bool is_first; /* nothing is written yet */
};

/* ---- records ---- */

/* What every record begins with. */
static void begin_record(struct writer *writer, const char *phase)
{
    output_format(writer->out, "%s{\"ph\":\"%s\",\"pid\":%lld,\"tid\":%lld",
                  writer->is_first ? "\n" : ",\n", phase, (long long)writer->thread->pid_shown,
                  (long long)writer->thread->native_id_shown);
    writer->is_first = false;
}

static void write_time(struct writer *writer, int64_t ns)
{
    output_format(writer->out, ",\"ts\":%lld.%03d", (long long)(ns / 1000), (int)(ns % 1000));
}

static void write_metadata(struct writer *writer, const char *what, const char *name)
{
    begin_record(writer, "M");
    output_format(writer->out, ",\"name\":\"%s\",\"args\":{\"name\":", what);
    output_json_string(writer->out, name);
    output_text(writer->out, "}}");
}

static void write_instant(void *context, const char *category, const char *name, int64_t time)
{
    struct writer *writer = context;

    begin_record(writer, "i");
    write_time(writer, time);
    output_format(writer->out, ",\"s\":\"t\",\"cat\":\"%s\",\"name\":", category);
    output_json_string(writer->out, name);
    output_text(writer->out, "}");
}

/* Where the function stands. */
static void write_place(struct writer *writer, const struct catalog_function *function)
{
    text_clear(&writer->place);
    text_add_format(&writer->place, "%s:%lld", function->file->shown,
                    (long long)function->first_line);
    output_text(writer->out, ",\"args\":{\"at\":");
    output_json_string(writer->out, text_string(&writer->place));
    output_text(writer->out, "}");
}

static int write_begin(void *context, const struct timeline_slice *slice, int64_t time)
{
    static const char *const categories[] = {
        [TIMELINE_FUNCTION] = "python", [TIMELINE_LINE] = "line", [TIMELINE_C] = "c"};
    struct writer *writer = context;
    const char *name = timeline_name(writer->timeline, slice);

    if (name == NULL)
        return -1;
    begin_record(writer, "B");
    write_time(writer, time);
    output_format(writer->out, ",\"cat\":\"%s\",\"name\":", categories[slice->kind]);
    output_json_string(writer->out, name);
    if (slice->kind == TIMELINE_FUNCTION && slice->function != NULL)
        write_place(writer, slice->function);
    output_text(writer->out, "}");
    return writer->place.failed ? error_set(writer->err, "out of memory") : 0;
}

/* speedscope wants the name again. */
static int write_end(void *context, const struct timeline_slice *slice, int64_t time)
{
    struct writer *writer = context;
    const char *name = timeline_name(writer->timeline, slice);

    if (name == NULL)
        return -1;
    begin_record(writer, "E");
    write_time(writer, time);
    output_text(writer->out, ",\"name\":");
    output_json_string(writer->out, name);
    output_text(writer->out, "}");
    return 0;
}

static int write_thread(void *context, const struct timeline_thread *thread)
{
    struct writer *writer = context;
    struct timeline_listener listener = {
        .begin = write_begin, .end = write_end, .instant = write_instant, .context = writer};

    writer->thread = thread;
    if (thread->is_main)
        write_metadata(writer, "process_name", thread->command);
    write_metadata(writer, "thread_name", thread->name);
    return timeline_play(writer->timeline, thread, &listener);
}

/* ---- the format ---- */

static int chrometrace_write(sqlite3 *db, const struct format_options *options, struct output *out,
                             struct error *err)
{
    struct writer writer = {.out = out, .err = err, .is_first = true};
    int status;

    writer.timeline = timeline_open(db, options, out, err);
    if (writer.timeline == NULL)
        return -1;
    output_text(out, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[");
    status = timeline_threads(writer.timeline, write_thread, &writer);
    output_text(out, "\n]}\n");
    text_fini(&writer.place);
    return timeline_close(writer.timeline) < 0 ? -1 : status;
}

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
