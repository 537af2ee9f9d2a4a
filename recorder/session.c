#include "recorder/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "recorder/codes.h"
#include "recorder/events.h"
#include "recorder/facts.h"
#include "recorder/pycompat.h"
#include "recorder/pyrec_options.h"
#include "recorder/pyrec_settings.h"
#include "recorder/pyrec_trace.h"
#include "recorder/recorder.h"
#include "recorder/thread.h"

struct window {
    uint32_t number;
    uint32_t thread; /* 0: all */
    uint64_t start;
    char *owner; /* owned */
    size_t owner_size;
};

static struct {
    bool for_windows; /* nothing is recorded outside windows */
    unsigned depth;   /* beginnings without their ends */
    unsigned pauses;  /* without their resumptions */
    uintptr_t keeper; /* for whom the recording waits at depth 0; 0: for nobody, it ends */
    pid_t pid;        /* whose windows these are: not a fork's child's */
    uint32_t last_window;
    struct window *windows; /* owned: the open ones */
    size_t count;
    int memory; /* descriptor of the last trace in memory; -1: none */
} session = {.memory = -1};

/* Beginning and end. */

static int start_file(const struct pyrec_options *options, struct pyrec_error *err)
{
    struct pyrec_trace trace;
    struct sink sink;
    char *why = err->text;
    int result;

    if (pyrec_trace_create(options, options->python, &trace, err) < 0)
        return -1;
    result = sink_open(&sink, trace.path, trace.mark, why, sizeof err->text);
    if (result == 0)
        result = recorder_start_guest(&sink, why, sizeof err->text);
    if (result < 0)
        pyrec_trace_remove(&trace);
    pyrec_trace_release(&trace);
    return result;
}

/* The last trace in memory is kept until there is another. */
static int start_memory(const struct pyrec_options *options, struct pyrec_error *err)
{
    struct pyrec_settings settings;
    struct sink sink;
    int result, memory;

    if (pyrec_settings_collect(options, options->python, 0, &settings, err) < 0)
        return -1;
    result = sink_open_memory(&sink, settings.items, settings.count, &memory, err->text,
                              sizeof err->text);
    pyrec_settings_free(&settings);
    if (result < 0)
        return -1;
    if (session.memory >= 0)
        close(session.memory);
    session.memory = memory;
    return recorder_start_guest(&sink, err->text, sizeof err->text);
}

static int start_new(const struct session_options *options, char *why, size_t why_size)
{
    struct pyrec_error err = {0};
    struct pyrec_options parsed;
    int result = pyrec_options_parse(options->argv, &parsed, &err);

    if (result == 0)
        result = options->in_memory ? start_memory(&parsed, &err) : start_file(&parsed, &err);
    pyrec_options_free(&parsed);
    if (result < 0)
        snprintf(why, why_size, "%s", err.text);
    return result;
}

/* Recording is on while somebody wants it and nobody has paused it. */
static void update(void)
{
    bool wanted = session.pauses == 0;

    if (recorder.is_guest && session.depth == 0)
        wanted = wanted && session.count > 0;
    if (wanted && recorder.paused)
        recorder_resume();
    else if (!wanted && recorder.running)
        recorder_pause();
}

static void forget_windows(void)
{
    for (size_t i = 0; i < session.count; i++)
        free(session.windows[i].owner);
    free(session.windows);
    session.windows = NULL;
    session.count = 0;
}

static void close_all_windows(void);

static void end(void)
{
    close_all_windows();
    recorder_stop();
    session.depth = session.pauses = 0;
    session.keeper = 0;
    session.for_windows = false;
}

/* A recording that only waits, for its keeper or for a window, gives way to another. */
static bool only_waits(const struct session_options *options)
{
    bool other_keeper = session.keeper != 0 && session.keeper != options->keeper;

    return recorder.active && recorder.is_guest && session.depth == 0 && session.count == 0 &&
           (other_keeper || (session.for_windows && !options->for_windows));
}

int session_start(const struct session_options *options, char *why, size_t why_size)
{
    bool goes_on;

    if (only_waits(options))
        end();
    if (recorder.active) {
        if (options->for_windows)
            return 0;
        if (session.for_windows && session.depth == 0) {
            snprintf(why, why_size,
                     "profiles are being recorded to memory; pyrec.stop() ends that");
            return -1;
        }
        goes_on = session.keeper != 0 && session.keeper == options->keeper && session.depth == 0;
        session.depth++;
        update();
        return goes_on;
    }
    session.depth = session.pauses = 0;
    if (start_new(options, why, why_size) < 0)
        return -1;
    session.for_windows = options->for_windows;
    session.keeper = options->keeper;
    session.depth = !options->for_windows;
    update();
    return 1;
}

bool session_stop(bool keep)
{
    bool waits = session.depth == 0 && (session.keeper != 0 || session.for_windows);

    if (!recorder.active || (session.depth == 0 && !(recorder.is_guest && waits)))
        return false;
    if (session.depth > 0)
        session.depth--;
    if (session.depth == 0 && recorder.is_guest) {
        if (keep && session.keeper != 0)
            update();
        else
            end();
    }
    return true;
}

bool session_pause(void)
{
    if (!recorder.active)
        return false;
    session.pauses++;
    update();
    return true;
}

bool session_resume(void)
{
    if (!recorder.active || session.pauses == 0)
        return false;
    session.pauses--;
    update();
    return true;
}

/* This thread, with its stack that of the interpreter. NULL: it is not recorded, or samples have no
 * events. */
static struct thread *current_thread(void)
{
    pycompat_frame *frame = pycompat_recent_frame(PyThreadState_Get());
    struct thread *t = recorder.settings.sample_ns == 0 ? events_thread(frame, false) : NULL;

    if (t != NULL)
        events_align(t, events_recorded_frame(frame));
    return t;
}

bool session_mark(const char *text, size_t size)
{
    struct thread *t = recorder.running ? current_thread() : NULL;

    if (t != NULL)
        event_mark(t, codes_string(text, size));
    return t != NULL;
}

const char *session_trace_path(void)
{
    static char path[64];

    if (recorder.active)
        return recorder.sink.path;
    if (session.memory < 0)
        return NULL;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), session.memory);
    return path;
}

/* Windows. */

static void write_window(const struct window *window, uint64_t end)
{
    struct fact fact;

    fact_init(&fact);
    fact_put_uint(&fact, window->number);
    fact_put_string(&fact, window->owner, window->owner_size);
    fact_put_uint(&fact, window->thread);
    fact_put_uint(&fact, window->start);
    fact_put_uint(&fact, end);
    facts_write(TRACE_FACT_WINDOW, &fact);
}

/* The calling thread's number, which it gets even in a pause; one that nobody has, if it is not
 * recorded. */
static uint32_t thread_number(void)
{
    bool running = recorder.running;
    struct thread *t;

    recorder.running = true;
    t = current_thread();
    recorder.running = running;
    return t != NULL ? t->number : sink_take_thread(&recorder.sink);
}

uint32_t session_open_window(const char *owner, size_t size, bool all_threads)
{
    struct window *windows = realloc(session.windows, (session.count + 1) * sizeof *windows);
    struct window *window;
    bool is_child = session.pid != getpid();

    if (windows != NULL)
        session.windows = windows;
    if (!recorder.active || windows == NULL)
        return 0;
    if (is_child)
        session.count = 0; /* the parent's */
    session.pid = getpid();
    window = &windows[session.count];
    *window = (struct window){.number = session.last_window + 1, .owner_size = size};
    window->owner = malloc(size + 1);
    if (window->owner == NULL)
        return 0;
    memcpy(window->owner, owner, size);
    session.last_window++;
    session.count++;
    update();
    window->thread = all_threads ? 0 : thread_number();
    window->start = recorder_set_boundaries();
    write_window(window, 0);
    return window->number;
}

bool session_close_window(uint32_t number)
{
    size_t i = 0;

    while (i < session.count && session.windows[i].number != number)
        i++;
    if (i == session.count || session.pid != getpid() || !recorder.active)
        return false;
    write_window(&session.windows[i], recorder_set_boundaries());
    free(session.windows[i].owner);
    session.windows[i] = session.windows[--session.count];
    update();
    return true;
}

static void close_all_windows(void)
{
    uint64_t now;

    if (session.pid == getpid()) {
        now = recorder_set_boundaries();
        for (size_t i = 0; i < session.count; i++)
            write_window(&session.windows[i], now);
    }
    forget_windows();
}
