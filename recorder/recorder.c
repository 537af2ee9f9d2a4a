#include "recorder/recorder.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/trace/decode.h"
#include "formats/trace/pattern.h"
#include "recorder/backend/backend.h"
#include "recorder/clock.h"
#include "recorder/codes.h"
#include "recorder/facts.h"
#include "recorder/files.h"
#include "recorder/inside.h"
#include "recorder/pycompat.h"
#include "recorder/thread.h"

struct recorder recorder = {.sink.fd = -1};

/* Where standard error led when we began: the program may put a file of its own there. */
static struct stat first_stderr;
static uint64_t start_ns;

/* Settings. */

static int add_filter(struct recorder_settings *settings, const char *value, char *why,
                      size_t why_size)
{
    if (settings->filter == NULL)
        settings->filter = pattern_list_new();
    if (settings->filter == NULL) {
        snprintf(why, why_size, "out of memory");
        return -1;
    }
    return pattern_list_add(settings->filter, value[0] == '+', value + 1, why, why_size);
}

static int apply_setting(const char *key, const char *value, char *why, size_t why_size)
{
    struct recorder_settings *settings = &recorder.settings;
    struct {
        const char *key;
        bool *flag;
    } flags[] = {
        {"exclude_syspath", &settings->exclude_syspath},
        {"threads", &settings->threads},
        {"children", &settings->children},
        {"source", &settings->source},
        {"c_calls", &settings->c_calls},
    };

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (strcmp(key, flags[i].key) == 0)
            *flags[i].flag = value[0] == '1';
    }
    if (strcmp(key, "filter") == 0 && value[0] != '\0')
        return add_filter(settings, value, why, why_size);
    if (strcmp(key, "closing_line") == 0)
        settings->closing_line = atoi(value);
    else if (strcmp(key, "max_size") == 0)
        recorder.sink.max_size = strtoull(value, NULL, 10);
    else if (strcmp(key, "min_free") == 0)
        recorder.sink.min_free = strtoull(value, NULL, 10);
    return 0;
}

static int apply_record(struct trace_record *record, char *why, size_t why_size)
{
    struct trace_bytes key = trace_read_string(&record->fields);
    struct trace_bytes value = trace_read_string(&record->fields);
    char *key_text = strndup((const char *)key.at, key.size);
    char *value_text = strndup((const char *)value.at, value.size);
    int status = 0;

    if (key_text != NULL && value_text != NULL)
        status = apply_setting(key_text, value_text, why, why_size);
    free(key_text);
    free(value_text);
    return status;
}

static int read_settings(char *why, size_t why_size)
{
    size_t size = 0;
    uint8_t *payload = sink_read_settings(&recorder.sink, &size);
    struct trace_cursor cursor = trace_cursor_over(payload, size);
    struct trace_record record;
    int status = 0;

    if (payload == NULL) {
        snprintf(why, why_size, "%s: its settings cannot be read", recorder.sink.path);
        return -1;
    }
    recorder.settings.threads = recorder.settings.children = recorder.settings.source = true;
    while (status == 0 && trace_next_record(&cursor, &record)) {
        if (record.kind == TRACE_FACT_SETTING)
            status = apply_record(&record, why, why_size);
    }
    free(payload);
    return status;
}

/* The process in the trace. */

static char *read_whole(const char *path, size_t *size)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t capacity = 0;

    *size = 0;
    while (file != NULL) {
        size_t n;
        char *grown = realloc(text, capacity + 4096);

        if (grown == NULL)
            break;
        text = grown;
        capacity += 4096;
        n = fread(text + *size, 1, capacity - *size, file);
        *size += n;
        if (*size < capacity)
            break;
    }
    if (file != NULL)
        fclose(file);
    return text;
}

static void write_process_fact(uint32_t parent, enum trace_process_how how, uint32_t code_base)
{
    char executable[4096];
    ssize_t executable_size = readlink("/proc/self/exe", executable, sizeof executable);
    const char *version = Py_GetVersion();
    size_t command_size;
    char *command = read_whole("/proc/self/cmdline", &command_size);
    struct fact fact;

    fact_init(&fact);
    fact_put_uint(&fact, parent);
    fact_put_uint(&fact, how);
    fact_put_uint(&fact, (uint64_t)getpid());
    fact_put_uint(&fact, code_base);
    fact_put_uint(&fact, clock_ticks());
    fact_put_uint(&fact, clock_read_ns(CLOCK_MONOTONIC));
    fact_put_string(&fact, executable, executable_size > 0 ? (size_t)executable_size : 0);
    fact_put_string(&fact, version, strcspn(version, " "));
    fact_put_string(&fact, recorder.cwd, recorder.cwd != NULL ? strlen(recorder.cwd) : 0);
    fact_put_string(&fact, command, command != NULL ? command_size : 0);
    facts_write(TRACE_FACT_PROCESS, &fact);
    free(command);
}

static void write_end_fact(enum trace_end_how how, int status)
{
    struct fact fact;

    fact_init(&fact);
    fact_put_uint(&fact, how);
    fact_put_uint(&fact, (uint64_t)(unsigned)status);
    fact_put_uint(&fact, clock_ticks());
    fact_put_uint(&fact, clock_read_ns(CLOCK_MONOTONIC));
    facts_write_last(TRACE_FACT_END, &fact);
}

/* From where recording stopped to now nothing is known of any thread. */
static void write_gap_fact(void)
{
    struct fact fact;

    fact_init(&fact);
    fact_put_uint(&fact, 0);
    fact_put_uint(&fact, sink_stop_reason(&recorder.sink));
    fact_put_uint(&fact, recorder.halted_ticks);
    fact_put_uint(&fact, clock_ticks());
    facts_write_last(TRACE_FACT_GAP, &fact);
}

/* Fork. Only this thread goes on, in a copy of our memory, with the parent's chunks still mapped:
 * it must not write to them. Nothing else is done here, because most children exec at once. */
static void after_fork_in_child(void)
{
    struct thread *t = thread_current;

    if (!recorder.running)
        return;
    recorder.forked = true;
    recorder.running = recorder.settings.children;
    recorder.code_base = facts_peek_number();
    if (t != NULL) {
        t->in_child = true;
        t->at = t->end = NULL;
    }
}

void recorder_enter_child(void)
{
    uint32_t parent = recorder.process;

    if (!recorder.forked)
        return;
    recorder.forked = false;
    recorder.pid = getpid();
    recorder.is_first = false;
    recorder.process = sink_take_process(&recorder.sink);
    facts_forget();
    write_process_fact(parent, TRACE_PROCESS_FORK, recorder.code_base);
}

void recorder_halt(void)
{
    if (recorder.running)
        recorder.halted_ticks = clock_ticks();
    recorder.running = false;
}

void recorder_detach(void)
{
    static bool detached;

    if (!detached)
        backend.detach();
    detached = true;
}

/* The end. */

static const char *path_as_typed(void)
{
    size_t size = recorder.cwd != NULL ? strlen(recorder.cwd) : 0;

    if (size > 0 && strncmp(recorder.sink.path, recorder.cwd, size) == 0 &&
        recorder.sink.path[size] == '/')
        return recorder.sink.path + size + 1;
    return recorder.sink.path;
}

/* 1234567 -> "1,234,567" */
static const char *with_commas(uint64_t value, char text[32])
{
    char digits[32];
    int size = snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    char *at = text;

    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0)
            *at++ = ',';
        *at++ = digits[i];
    }
    *at = '\0';
    return text;
}

static bool stderr_is_still_ours(void)
{
    struct stat st;

    return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == first_stderr.st_dev &&
           st.st_ino == first_stderr.st_ino;
}

static void print_own_cost(uint64_t events, const struct thread *t)
{
    double seconds = (double)(clock_read_ns(CLOCK_MONOTONIC) - start_ns) / 1e9;
    double bytes = (double)sink_size(&recorder.sink);
    double writing = t != NULL ? (double)t->writing_ticks / (double)recorder.sink.tick_rate : 0;

    if (events > 0)
        dprintf(STDERR_FILENO,
                "pyrec: %.3f s recorded, %.1f ns and %.2f bytes an event, %.3f s spent writing\n",
                seconds, seconds * 1e9 / (double)events, bytes / (double)events, writing);
}

static void print_closing_line(const struct thread *t)
{
    uint32_t processes = sink_process_count(&recorder.sink);
    uint32_t threads = sink_thread_count(&recorder.sink);
    uint64_t events = sink_count_events(&recorder.sink, 0);
    double megabytes = (double)sink_size(&recorder.sink) / 1e6;
    const char *path = path_as_typed();
    char count[32];

    if (recorder.settings.closing_line == 0 || !stderr_is_still_ours() ||
        (recorder.settings.closing_line == 1 && !isatty(STDERR_FILENO)))
        return;
    dprintf(
        STDERR_FILENO,
        "pyrec: %s: %.*f MB, %s events, %u thread%s, %u process%s; see it with: pyanalyze%s%s\n",
        path, megabytes < 1 ? 2 : 1, megabytes, with_commas(events, count), threads,
        threads == 1 ? "" : "s", processes, processes == 1 ? "" : "es",
        strcmp(path, "trace.bin") == 0 ? "" : " ", strcmp(path, "trace.bin") == 0 ? "" : path);
    if (recorder.settings.closing_line > 1)
        print_own_cost(events, t);
}

/* Seals what this thread and the process have; other threads may still be running and keep theirs
 * open. */
static void finish(enum trace_end_how how, int status)
{
    struct thread *t = thread_current;

    if (recorder.sink.header == NULL || recorder.forked)
        return;
    if (t != NULL && !t->in_child) {
        thread_seal(t);
        if (recorder.running)
            thread_write_stats(t);
    }
    if (!recorder.running)
        write_gap_fact();
    write_end_fact(how, status);
    facts_seal();
}

static void on_exit_hook(int status)
{
    finish(TRACE_END_EXIT, status);
    if (recorder.is_first && recorder.pid == getpid() && recorder.sink.header != NULL)
        print_closing_line(thread_current);
}

static void before_exec_hook(void)
{
    finish(TRACE_END_EXEC, 0);
}

static void exec_failed_hook(void)
{
    /* The next event and the next fact begin new chunks; a later END counts. */
}

static unsigned process_number_hook(void)
{
    return recorder.process;
}

static void child_ended_hook(pid_t pid, int wait_status)
{
    struct fact fact;

    if (!recorder.running || recorder.forked)
        return;
    fact_init(&fact);
    fact_put_uint(&fact, (uint64_t)pid);
    fact_put_uint(&fact, (uint64_t)(unsigned)wait_status);
    fact_put_uint(&fact, clock_ticks());
    facts_write(TRACE_FACT_CHILD, &fact);
}

/* The beginning. */

static enum trace_process_how how_of(const struct inside_run *run)
{
    if (run->how == INSIDE_FIRST)
        return TRACE_PROCESS_FIRST;
    return run->how == INSIDE_SPAWN ? TRACE_PROCESS_SPAWN : TRACE_PROCESS_EXEC;
}

static int check_version(char *why, size_t why_size)
{
    char built[16];
    const char *version = Py_GetVersion();

    snprintf(built, sizeof built, "%d.%d.", PY_MAJOR_VERSION, PY_MINOR_VERSION);
    if (strncmp(version, built, strlen(built)) == 0)
        return 0;
    snprintf(why, why_size, "this recorder was built for CPython %d.%d, the interpreter is %.*s",
             PY_MAJOR_VERSION, PY_MINOR_VERSION, (int)strcspn(version, " "), version);
    return -1;
}

static void describe_process(const struct inside_run *run)
{
    recorder.pid = getpid();
    recorder.is_first = run->how == INSIDE_FIRST;
    recorder.cwd = getcwd(NULL, 0);
    recorder.stamp_ticks =
        (uint64_t)((double)TRACE_CPU_STAMP_NS * (double)recorder.sink.tick_rate / 1e9);
    recorder.process = sink_take_process(&recorder.sink);
    fstat(STDERR_FILENO, &first_stderr);
    start_ns = clock_read_ns(CLOCK_MONOTONIC);
    files_init();
    if (run->code != NULL)
        files_set_command(run->code, strlen(run->code));
}

int recorder_start(const struct inside_run *run, struct inside_hooks *hooks, char *why,
                   size_t why_size)
{
    if (run->version != INSIDE_VERSION) {
        snprintf(why, why_size, "preload.so and the recorder are of different versions of pyrec");
        return -1;
    }
    if (check_version(why, why_size) < 0 ||
        sink_open(&recorder.sink, run->path, run->mark, why, why_size) < 0)
        return -1;
    if (read_settings(why, why_size) < 0 || codes_init(why, why_size) < 0) {
        sink_close(&recorder.sink);
        return -1;
    }
    describe_process(run);
    write_process_fact(run->parent, how_of(run), 0);
    recorder.running = true;
    if (backend.attach(why, why_size) < 0) {
        recorder.running = false;
        sink_close(&recorder.sink);
        return -1;
    }
    pthread_atfork(NULL, NULL, after_fork_in_child);
    *hooks = (struct inside_hooks){process_number_hook, before_exec_hook, exec_failed_hook,
                                   on_exit_hook, child_ended_hook};
    return 0;
}

/* What preload.so looks for (inside.h). */
__attribute__((visibility("default"))) inside_start_function pyrec_inside_start;

int pyrec_inside_start(const struct inside_run *run, struct inside_hooks *hooks, char *why,
                       size_t why_size)
{
    return recorder_start(run, hooks, why, why_size);
}
