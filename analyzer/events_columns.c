#include "analyzer/events_columns.h"

#include <stdlib.h>

#include "analyzer/utf8.h"
#include "formats/text.h"

static void result_id(sqlite3_context *context, int64_t id)
{
    if (id != 0)
        sqlite3_result_int64(context, id);
}

static void result_event(sqlite3_context *context, enum trace_tag tag)
{
    static const char *const names[] = {
        [TRACE_TAG_LINE] = "line",         [TRACE_TAG_CALL] = "call",
        [TRACE_TAG_RETURN] = "return",     [TRACE_TAG_YIELD] = "yield",
        [TRACE_TAG_RESUME] = "resume",     [TRACE_TAG_UNWIND] = "unwind",
        [TRACE_TAG_RAISE] = "raise",       [TRACE_TAG_C_CALL] = "c_call",
        [TRACE_TAG_C_RETURN] = "c_return", [TRACE_TAG_SWITCH] = "switch",
        [TRACE_TAG_GAP] = "gap",           [TRACE_TAG_MARK] = "mark",
        [EVENTS_TAG_SAMPLE] = "sample",
    };

    sqlite3_result_text(context, names[tag], -1, SQLITE_STATIC);
}

/* A name as the database has names: valid UTF-8. */
static void result_bytes(sqlite3_context *context, struct trace_bytes text)
{
    char *clean;
    size_t size;

    if (utf8_is_valid(text)) {
        sqlite3_result_text64(context, (const char *)text.at, text.size, SQLITE_STATIC,
                              SQLITE_UTF8);
        return;
    }
    clean = utf8_clean(text, &size);
    if (clean == NULL)
        sqlite3_result_error_nomem(context);
    else
        sqlite3_result_text64(context, clean, size, free, SQLITE_UTF8);
}

static void result_detail(sqlite3_context *context, const struct events_walk *walk)
{
    static const char *const states[] = {"running", "gil", "blocked"};
    struct trace_bytes text;

    switch ((unsigned)walk->tag) {
    case EVENTS_TAG_SAMPLE:
        sqlite3_result_text(context, states[walk->string - TRACE_SAMPLE_RUNNING], -1,
                            SQLITE_STATIC);
        break;
    case TRACE_TAG_GAP:
        sqlite3_result_text(context, trace_gap_name(walk->string), -1, SQLITE_STATIC);
        break;
    case TRACE_TAG_RAISE:
    case TRACE_TAG_C_CALL:
    case TRACE_TAG_MARK:
        if (facts_string(walk->facts, walk->process, walk->string, &text))
            result_bytes(context, text);
        break;
    default:
        break;
    }
}

/* Names stand as long as the table does. */
static void result_name(sqlite3_context *context, const struct events_run *run,
                        const struct facts_code *code, bool file)
{
    const struct events_code_names *names;
    size_t count;

    if (code == NULL) {
        sqlite3_result_text(context, EVENTS_IDS_UNKNOWN, -1, SQLITE_STATIC);
        return;
    }
    names = &run->ids.names[code - facts_codes(run->facts, &count)];
    sqlite3_result_text(context, file ? names->file : names->function,
                        file ? names->file_size : names->function_size, SQLITE_STATIC);
}

static int64_t activation_of(const struct events_frame *frame)
{
    return (int64_t)(frame->thread << EVENTS_ACTIVATION_BITS | frame->number);
}

/* [function_id, line, activation]; of unknown code the id is null, of one that the database leaves
 * out 0. */
static void add_frame(struct text *text, const struct events_runs *runs,
                      const struct events_walk *walk, const struct events_frame *frame)
{
    int64_t function = events_runs_function_id(runs, frame->code);

    text_add_string(text, "[");
    if (frame->code == NULL)
        text_add_string(text, "null");
    else
        text_add_uint(text, (uint64_t)function);
    text_add_string(text, ",");
    text_add_uint(text, (uint64_t)frame->line);
    if (!walk->is_sampled) {
        text_add_string(text, ",");
        text_add_uint(text, (uint64_t)activation_of(frame));
    }
    text_add_string(text, "]");
}

/* The frames that are open, that of the row included, as an array of JSON, the outermost first. */
static void result_stack(sqlite3_context *context, const struct events_runs *runs,
                         const struct events_walk *walk)
{
    struct text text = {0};
    size_t count = walk->frame != NULL ? walk->row_depth + 1 : 0;

    for (size_t i = 0; i < count; i++) {
        text_add_string(&text, i == 0 ? "[" : ",");
        add_frame(&text, runs, walk, &walk->stack[i]);
    }
    text_add_string(&text, count == 0 ? "[]" : "]");
    if (text.failed) {
        text_fini(&text);
        sqlite3_result_error_nomem(context);
    } else {
        sqlite3_result_text64(context, text.at, text.size, free, SQLITE_UTF8);
    }
}

/* What only samples have, and the stack where the rows before do not tell it. */
static bool result_hidden(sqlite3_context *context, const struct events_runs *runs,
                          const struct events_walk *walk, int column)
{
    bool is_sample = (unsigned)walk->tag == EVENTS_TAG_SAMPLE;

    if (column < EVENTS_COLUMN_SAMPLES)
        return false;
    if (column == EVENTS_COLUMN_STACK && (is_sample || walk->is_stack_news))
        result_stack(context, runs, walk);
    else if (column == EVENTS_COLUMN_SAMPLES && is_sample)
        sqlite3_result_int64(context, (sqlite3_int64)walk->samples);
    else if (column == EVENTS_COLUMN_SELF_CPU && is_sample)
        sqlite3_result_int64(context, walk->sample_cpu_ns);
    return true;
}

/* What the row is about. */
static void result_of_frame(sqlite3_context *context, const struct events_runs *runs,
                            const struct events_run *run, const struct events_walk *walk,
                            int column)
{
    const struct events_frame *frame = walk->frame;
    const struct facts_code *code = frame->code;

    switch (column) {
    case EVENTS_COLUMN_LINE:
        sqlite3_result_int64(context, frame->line);
        break;
    case EVENTS_COLUMN_DEPTH:
        sqlite3_result_int64(context, (sqlite3_int64)walk->row_depth + 1);
        break;
    case EVENTS_COLUMN_ACTIVATION:
        sqlite3_result_int64(context, activation_of(frame));
        break;
    case EVENTS_COLUMN_FUNCTION_ID:
        result_id(context, events_runs_function_id(runs, code));
        break;
    case EVENTS_COLUMN_FILE_ID:
        result_id(context, events_runs_file_id(runs, code));
        break;
    default:
        result_name(context, run, code, column == EVENTS_COLUMN_FILE);
    }
}

/* What is the same in all rows of a thread, or about the event alone. */
static bool result_of_event(sqlite3_context *context, const struct events_thread *thread,
                            struct events_walk *walk, int column)
{
    switch (column) {
    case EVENTS_COLUMN_RUN:
        sqlite3_result_int64(context, thread->run->ids.run_id);
        return true;
    case EVENTS_COLUMN_SEQ:
        sqlite3_result_int64(context, (sqlite3_int64)walk->seq);
        return true;
    case EVENTS_COLUMN_TIME:
        sqlite3_result_int64(context, events_walk_time(walk));
        return true;
    case EVENTS_COLUMN_PROCESS:
        sqlite3_result_int64(context, thread->ids.process_id);
        return true;
    case EVENTS_COLUMN_THREAD:
        sqlite3_result_int64(context, thread->ids.thread_id);
        return true;
    case EVENTS_COLUMN_EVENT:
        result_event(context, walk->tag);
        return true;
    case EVENTS_COLUMN_DETAIL:
        result_detail(context, walk);
        return true;
    default:
        return false;
    }
}

static int result_self(sqlite3_context *context, struct events_walk *walk, struct error *err)
{
    int64_t ns;

    if (events_walk_self(walk, &ns, err) < 0)
        return -1;
    sqlite3_result_int64(context, ns);
    return 0;
}

int events_columns_result(sqlite3_context *context, int column, const struct events_runs *runs,
                          const struct events_thread *thread, struct events_walk *walk,
                          struct error *err)
{
    if (column == EVENTS_COLUMN_SELF)
        return result_self(context, walk, err);
    if (result_of_event(context, thread, walk, column) ||
        result_hidden(context, runs, walk, column))
        return 0;
    if (walk->frame != NULL)
        result_of_frame(context, runs, thread->run, walk, column);
    else if (column == EVENTS_COLUMN_DEPTH)
        sqlite3_result_int64(context, 0);
    return 0;
}
