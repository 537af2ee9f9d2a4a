#include "analyzer/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "analyzer/model.h"
#include "analyzer/replay.h"
#include "analyzer/run_warnings.h"
#include "analyzer/shell_quote.h"
#include "analyzer/store.h"
#include "analyzer/windows.h"
#include "formats/error.h"

/* --- Opening --- */

static bool is_setting(struct trace_bytes value, const char *text)
{
    return value.size == strlen(text) && memcmp(value.at, text, value.size) == 0;
}

static int check_mode(struct run *run, struct error *err)
{
    struct trace_bytes mode = facts_setting(run->facts, "mode");
    const struct trace_file *file = run->file;

    run->is_sampled = is_setting(mode, "sample");
    if (mode.size != 0 && !run->is_sampled && !is_setting(mode, "exact"))
        return error_set(err, "%s: recorded in mode \"%.*s\", which this version cannot read",
                         file->path, (int)(mode.size < 40 ? mode.size : 40), (const char *)mode.at);
    if (file->thread_count == 0)
        return 0;
    if ((file->chunks[file->threads[0].first].kind == TRACE_SAMPLES) != run->is_sampled)
        return error_set(err, "%s: its mode is %s, but that is not what its chunks are", file->path,
                         run->is_sampled ? "sample" : "exact");
    return 0;
}

static int find_processes(struct run *run, struct error *err)
{
    run->process_count = facts_process_count(run->facts);
    run->processes = calloc(run->process_count + 1, sizeof *run->processes);
    run->trouble = calloc(1, sizeof *run->trouble);
    run->thread_ids = calloc(run->file->thread_count + 1, sizeof *run->thread_ids);
    if (!run->processes || !run->trouble || !run->thread_ids)
        return error_set(err, "%s: out of memory", run->file->path);
    for (size_t i = 0; i < run->process_count; i++) {
        struct run_process *process = &run->processes[i];
        process->facts = facts_process_at(run->facts, i);
        process->start_ns =
            process->facts->known ? clock_ns(&run->file->clock, process->facts->start_ticks) : -1;
        process->end_ns =
            process->facts->ended ? clock_ns(&run->file->clock, process->facts->end_ticks) : -1;
    }
    alive_look(run);
    return 0;
}

int run_open(struct run *run, const char *path, int64_t id, struct error *err)
{
    *run = (struct run){.id = id, .first_ns = -1, .last_ns = -1};
    run->file = trace_file_open(path, err);
    run->facts = run->file ? facts_read(run->file, err) : NULL;
    if (!run->facts || check_mode(run, err) < 0)
        return -1;
    return find_processes(run, err);
}

void run_close(struct run *run)
{
    free(run->processes);
    free(run->trouble);
    free(run->thread_ids);
    facts_free(run->facts);
    trace_file_close(run->file);
}

/* --- Selection --- */

void run_number_processes(struct run *run, const struct selection *selection, int64_t *last_id)
{
    for (size_t i = 0; i < run->process_count; i++)
        if (selection->pid == 0 || run->processes[i].facts->pid == (uint64_t)selection->pid)
            run->processes[i].id = ++*last_id;
}

static struct run_process *find_process(const struct run *run, uint64_t number)
{
    size_t low = 0, high = run->process_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (run->processes[middle].facts->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < run->process_count && run->processes[low].facts->number == number
               ? &run->processes[low]
               : NULL;
}

int64_t run_process_id(const struct run *run, uint64_t number)
{
    const struct run_process *process = find_process(run, number);

    return process ? process->id : 0;
}

static bool is_number(const char *text, uint64_t number)
{
    char digits[32];

    snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    return strcmp(text, digits) == 0;
}

static bool is_text(const char *text, struct trace_bytes bytes)
{
    return strlen(text) == bytes.size && memcmp(text, bytes.at, bytes.size) == 0;
}

bool run_selects(const struct run *run, const struct selection *selection,
                 const struct trace_thread *thread)
{
    const struct facts_thread *facts = facts_thread(run->facts, thread->process, thread->thread);

    if (run_process_id(run, thread->process) == 0)
        return false;
    if (!selection->thread || is_number(selection->thread, thread->thread))
        return true;
    return facts && (is_text(selection->thread, facts->name) ||
                     is_number(selection->thread, facts->native_id));
}

/* --- Threads --- */

static const struct trace_thread *find_thread(const struct run *run, uint32_t process,
                                              uint64_t number)
{
    const struct trace_thread *threads = run->file->threads;
    size_t low = 0, high = run->file->thread_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        bool before = threads[middle].process != process ? threads[middle].process < process
                                                         : threads[middle].thread < number;
        if (before)
            low = middle + 1;
        else
            high = middle;
    }
    return low < run->file->thread_count && threads[low].process == process &&
                   threads[low].thread == number
               ? &threads[low]
               : NULL;
}

/* Events that the recorder says it wrote, and that are neither there nor known to be missing: the
 * thread's last chunks are gone. */
static uint64_t missing_at_end(const struct run *run, const struct trace_thread *thread,
                               const struct replay *replay)
{
    uint64_t seen = replay->events + replay->trouble.lost_events;
    uint64_t written = facts_events_written(run->facts, thread->process, thread->thread);

    return !replay->cut.is_on && written > seen ? written - seen : 0;
}

/* The same for threads of which nothing is there at all. */
static uint64_t missing_threads(const struct run *run, const struct selection *selection)
{
    size_t count;
    const struct facts_stats *stats = facts_stats(run->facts, &count);
    uint64_t missing = 0;

    for (size_t i = 0; !selection->thread && !selection->windows && i < count; i++)
        if (run_process_id(run, stats[i].key.process) &&
            !find_thread(run, stats[i].key.process, stats[i].key.number))
            missing += stats[i].events;
    return missing;
}

static void widen(int64_t *first, int64_t *last, int64_t from, int64_t to)
{
    if (from >= 0 && (*first < 0 || from < *first))
        *first = from;
    if (to > *last)
        *last = to;
}

static void add_trouble(struct replay_trouble *sum, const struct replay_trouble *trouble)
{
    sum->strays += trouble->strays;
    sum->bad_lines += trouble->bad_lines;
    sum->unknown_resumes += trouble->unknown_resumes;
    sum->mismatches += trouble->mismatches;
    sum->undecoded += trouble->undecoded;
    sum->extensions += trouble->extensions;
    sum->lost_chunks += trouble->lost_chunks;
    sum->lost_events += trouble->lost_events;
}

void run_store_thread(struct run *run, struct store *store, const struct trace_thread *thread,
                      int64_t thread_id, const struct replay *replay)
{
    const struct facts_thread *facts = facts_thread(run->facts, thread->process, thread->thread);
    struct run_process *process = find_process(run, thread->process);
    char fallback[RUN_TEXT_SIZE];
    struct trace_bytes name = {(const uint8_t *)fallback, 0};

    if (facts && facts->name.size)
        name = facts->name;
    else
        name.size = (size_t)snprintf(fallback, sizeof fallback, "thread %u", thread->thread);
    store_row(store, STORE_THREADS, "iiiitiiii", thread_id, process->id, (int64_t)thread->thread,
              facts ? (int64_t)facts->native_id : 0, name, (int64_t)(facts && facts->is_main),
              replay->first_ns, replay->hand.ns, (int64_t)replay_event_count(replay));
    widen(&process->start_ns, &process->end_ns, replay->first_ns, replay->hand.ns);
    run->thread_ids[thread - run->file->threads] = thread_id;
    run->events += replay_event_count(replay);
    run->unknown_codes += replay->sums.unknown_codes;
    add_trouble(run->trouble, &replay->trouble);
    run->trouble->lost_events += missing_at_end(run, thread, replay);
}

/* --- The run's rows --- */

void run_tell_end(const struct facts_process *process, char text[RUN_TEXT_SIZE])
{
    int status = (int)(process->wait_status & 0xffff);

    if (process->ended && process->end_how == TRACE_END_EXEC)
        snprintf(text, RUN_TEXT_SIZE, "exec");
    else if (process->reaped && WIFSIGNALED(status))
        snprintf(text, RUN_TEXT_SIZE, "signal %d", WTERMSIG(status));
    else if (process->reaped && WIFEXITED(status))
        snprintf(text, RUN_TEXT_SIZE, "exit %d", WEXITSTATUS(status));
    else if (process->ended && process->end_how == TRACE_END_EXIT)
        snprintf(text, RUN_TEXT_SIZE, "exit %llu", (unsigned long long)process->end_status);
    else
        snprintf(text, RUN_TEXT_SIZE, "unknown");
}

static const char *how_began(uint64_t how)
{
    static const char *const names[] = {"first", "fork", "spawn", "exec"};

    return how < sizeof names / sizeof *names ? names[how] : "first";
}

static void store_process(struct run *run, struct store *store, struct run_process *process)
{
    const struct facts_process *facts = process->facts;
    int64_t parent = run_process_id(run, facts->parent);
    struct shell_quote command = {0};
    char ended[RUN_TEXT_SIZE];

    run_tell_end(facts, ended);
    shell_quote_add_list(&command, facts->command);
    if (process->start_ns < 0)
        process->start_ns = 0;
    if (process->end_ns < process->start_ns)
        process->end_ns = process->start_ns;
    widen(&run->first_ns, &run->last_ns, process->start_ns, process->end_ns);
#define FRONT process->id, run->id, (int64_t)facts->number, (int64_t)facts->pid
#define BACK                                                                                       \
    how_began(facts->how), shell_quote_bytes(&command), facts->python, process->start_ns,          \
        process->end_ns, ended
    if (parent)
        store_row(store, STORE_PROCESSES, "iiiiisttiis", FRONT, parent, BACK);
    else
        store_row(store, STORE_PROCESSES, "iiii-sttiis", FRONT, BACK);
#undef FRONT
#undef BACK
    if (command.failed)
        store_out_of_memory(store);
    free(command.text);
}

static void store_processes(struct run *run, struct store *store)
{
    for (size_t i = 0; i < run->process_count; i++)
        if (run->processes[i].id)
            store_process(run, store, &run->processes[i]);
}

static int64_t thread_row(const struct run *run, uint32_t process, uint64_t thread)
{
    const struct trace_thread *found = find_thread(run, process, thread);

    return found ? run->thread_ids[found - run->file->threads] : 0;
}

static void store_gaps(const struct run *run, struct store *store)
{
    size_t count;
    const struct facts_gap *gaps = facts_gaps(run->facts, &count);

    for (size_t i = 0; i < count; i++) {
        int64_t process = run_process_id(run, gaps[i].process);
        int64_t thread = gaps[i].thread ? thread_row(run, gaps[i].process, gaps[i].thread) : 0;
        int64_t start = clock_ns(&run->file->clock, gaps[i].start_ticks);
        int64_t end = clock_ns(&run->file->clock, gaps[i].end_ticks);
        const char *reason = trace_gap_name(gaps[i].reason);
        if (process && thread)
            store_row(store, STORE_GAPS, "iiiis", process, thread, start, end, reason);
        else if (process && gaps[i].thread == 0)
            store_row(store, STORE_GAPS, "i-iis", process, start, end, reason);
    }
}

static void store_samplers(const struct run *run, struct store *store)
{
    size_t count;
    const struct facts_sampler *samplers = facts_samplers(run->facts, &count);

    for (size_t i = 0; i < count; i++) {
        int64_t process = run_process_id(run, samplers[i].process);
        if (process)
            store_row(store, STORE_SAMPLERS, "iiiiiii", process, (int64_t)samplers[i].period,
                      (int64_t)samplers[i].due, (int64_t)samplers[i].late,
                      (int64_t)samplers[i].taken, (int64_t)samplers[i].missed,
                      (int64_t)samplers[i].cpu);
    }
}

static void store_window(const struct run *run, struct store *store,
                         const struct facts_window *window)
{
    int64_t process = run_process_id(run, window->key.process);
    int64_t thread = window->thread ? thread_row(run, window->key.process, window->thread) : 0;
    char types[] = "iitiii";

    if (!process || (window->thread && !thread))
        return;
    /* NULL takes no argument, so what stands behind it moves up. */
    types[3] = thread ? 'i' : '-';
    types[5] = window->end_ticks ? 'i' : '-';
    int64_t start = clock_ns(&run->file->clock, window->start_ticks);
    int64_t end = clock_ns(&run->file->clock, window->end_ticks);
    if (thread)
        store_row(store, STORE_WINDOWS, types, process, (int64_t)window->key.number, window->owner,
                  thread, start, end);
    else
        store_row(store, STORE_WINDOWS, types, process, (int64_t)window->key.number, window->owner,
                  start, end);
}

static void store_windows(const struct run *run, struct store *store, const char *const *owners)
{
    size_t count;
    const struct facts_window *windows = facts_windows(run->facts, &count);

    for (size_t i = 0; i < count; i++)
        if (windows_owned_by(windows[i].owner, owners))
            store_window(run, store, &windows[i]);
}

/* --- The run itself --- */

static void quote_argv(const struct run *run, struct shell_quote *command)
{
    size_t count;
    const struct facts_setting *settings = facts_settings(run->facts, &count);

    for (size_t i = 0; i < count; i++)
        if (settings[i].key.size == 4 && memcmp(settings[i].key.at, "argv", 4) == 0)
            shell_quote_add(command, settings[i].value);
    if (command->size == 0 && run->process_count)
        shell_quote_add_list(command, run->processes[0].facts->command);
}

static struct trace_bytes python_version(const struct run *run)
{
    if (run->process_count && run->processes[0].facts->python.size)
        return run->processes[0].facts->python;
    return facts_setting(run->facts, "python");
}

void run_store(struct run *run, struct store *store, const struct selection *selection)
{
    const struct trace_header *header = &run->file->header;
    const struct clock *clock = &run->file->clock;
    struct shell_quote command = {0};
    struct trace_bytes path = {(const uint8_t *)run->file->path, strlen(run->file->path)};

    run->trouble->lost_events += missing_threads(run, selection);
    store_processes(run, store);
    store_gaps(run, store);
    store_samplers(run, store);
    store_windows(run, store, selection->windows);
    run_store_warnings(run, store);
    quote_argv(run, &command);
    double resolution =
        (double)(1u << header->tick_shift) * (double)clock->num / (double)clock->den;
    store_row(store, STORE_RUNS, "isttttiissiiiirttt", run->id, run->file->mark, path,
              facts_setting(run->facts, "host"), shell_quote_bytes(&command), python_version(run),
              (int64_t)header->realtime,
              run->last_ns > run->first_ns ? run->last_ns - run->first_ns : 0,
              header->clock == TRACE_CLOCK_TSC ? "tsc" : "monotonic",
              run->is_sampled ? "sample" : "exact", (int64_t)run_is_complete(run),
              (int64_t)run->trouble->lost_events, (int64_t)run->events, (int64_t)run->file->size,
              resolution, facts_setting(run->facts, "cwd"), facts_setting(run->facts, "system"),
              facts_setting(run->facts, "recorder"));
    if (command.failed)
        store_out_of_memory(store);
    free(command.text);
}
