#include "analyzer/run_warnings.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "analyzer/replay.h"
#include "analyzer/run.h"
#include "analyzer/store.h"

enum { LISTED = 4 }; /* process ids in a warning */

static void warn(const struct run *run, struct store *store, uint64_t count, const char *format,
                 ...) __attribute__((format(printf, 4, 5)));

static void warn(const struct run *run, struct store *store, uint64_t count, const char *format,
                 ...)
{
    char text[RUN_TEXT_SIZE];
    va_list values;

    if (count == 0)
        return;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    store_row(store, STORE_WARNINGS, "is", run->id, text);
}

/* Gaps that processes tell of themselves. */
static uint64_t count_gaps(const struct run *run, enum trace_gap_reason reason)
{
    size_t count;
    const struct facts_gap *gaps = facts_gaps(run->facts, &count);
    uint64_t found = 0;

    for (size_t i = 0; i < count; i++)
        found += gaps[i].reason == reason;
    return found;
}

/* Processes that could not go on alone, while the run did: out of address space, say. */
static uint64_t count_stopped(const struct run *run)
{
    return run->file->stop ? 0 : count_gaps(run, TRACE_GAP_FAILED);
}

static void warn_counts(const struct run *run, struct store *store)
{
    const struct replay_trouble *trouble = run->trouble;
    const struct facts_trouble *facts = facts_trouble(run->facts);
    const struct {
        uint64_t count;
        const char *one, *many;
    } warnings[] = {
        {run->file->damage.unknown, "chunk of an unknown optional kind or encoding was skipped",
         "chunks of an unknown optional kind or encoding were skipped"},
        {facts->lost, "chunk of facts (names of code and files) is missing",
         "chunks of facts (names of code and files) are missing"},
        {facts->records, "record of facts does not decode", "records of facts do not decode"},
        {facts->unknown, "record of facts of an unknown kind was skipped",
         "records of facts of an unknown kind were skipped"},
        {trouble->lost_chunks, "chunk of events is missing", "chunks of events are missing"},
        {trouble->lost_events, "event is lost", "events are lost"},
        {trouble->undecoded, "chunk of events decodes only in part",
         "chunks of events decode only in part"},
        {trouble->mismatches, "chunk begins with another stack than the one before it ended with",
         "chunks begin with another stack than the one before them ended with"},
        {trouble->strays, "event came when no function was on the stack",
         "events came when no function was on the stack"},
        {trouble->unknown_resumes, "generator was resumed that had not yielded",
         "generators were resumed that had not yielded"},
        {trouble->bad_lines, "line number is out of range", "line numbers are out of range"},
        {trouble->extensions, "event of an unknown kind was skipped",
         "events of an unknown kind were skipped"},
        {run->missing_texts, "source text is missing", "source texts are missing"},
        {run->unknown_codes, "function has no known name: shown as <unknown>",
         "functions have no known name: shown as <unknown>"},
    };

    for (size_t i = 0; i < sizeof warnings / sizeof *warnings; i++)
        warn(run, store, warnings[i].count, "%llu %s", (unsigned long long)warnings[i].count,
             warnings[i].count == 1 ? warnings[i].one : warnings[i].many);
}

static void warn_gaps(const struct run *run, struct store *store)
{
    warn(
        run, store, count_stopped(run),
        "processes stopped being recorded before their end: no memory, no address space, or no way "
        "to take samples");
    warn(run, store, count_gaps(run, TRACE_GAP_REPLACED),
         "another tracer took the recorder's place for a time: see the table gaps");
    warn(run, store, count_gaps(run, TRACE_GAP_UNSEEN),
         "Python code may have run unrecorded, in subinterpreters or in threads that C code made: "
         "see the table gaps");
}

static bool is_cut(const struct run_process *process)
{
    return process->id && process->facts->known && !process->facts->ended;
}

/* As processes.ended, which says what the trace does, and what can be seen beyond it. */
static void tell_end(const struct run_process *process, char text[RUN_TEXT_SIZE])
{
    static const char *const seen[] = {[ALIVE_UNKNOWN] = "killed, or still running",
                                       [ALIVE_RUNNING] = "running",
                                       [ALIVE_GONE] = "killed"};

    run_tell_end(process->facts, text);
    if (strcmp(text, "unknown") == 0)
        snprintf(text, RUN_TEXT_SIZE, "%s", seen[process->alive]);
}

/* Processes that ended as the one at `first` did, together; nothing if one before it did. */
static void warn_cut(const struct run *run, struct store *store, size_t first)
{
    char how[RUN_TEXT_SIZE], other[RUN_TEXT_SIZE], list[LISTED * 24 + 32] = "";
    size_t count = 0, size = 0;

    tell_end(&run->processes[first], how);
    for (size_t i = 0; i < run->process_count; i++) {
        if (!is_cut(&run->processes[i]))
            continue;
        tell_end(&run->processes[i], other);
        if (strcmp(how, other) != 0)
            continue;
        if (i < first)
            return;
        if (count++ < LISTED)
            size +=
                (size_t)snprintf(list + size, sizeof list - size, "%s%llu", count > 1 ? ", " : "",
                                 (unsigned long long)run->processes[i].facts->pid);
    }
    if (count > LISTED)
        snprintf(list + size, sizeof list - size, " and %zu more", count - LISTED);
    if (strcmp(how, "running") == 0)
        warn(run, store, count,
             "process%s %s had not ended when the trace was read: what %s threads were doing then "
             "is in the table open_frames",
             count > 1 ? "es" : "", list, count > 1 ? "their" : "its");
    else
        warn(run, store, count,
             "process%s %s did not end in order (%s): what %s threads were doing is in the table "
             "open_frames",
             count > 1 ? "es" : "", list, how, count > 1 ? "their" : "its");
}

static void warn_ends(const struct run *run, struct store *store)
{
    for (size_t i = 0; i < run->process_count; i++) {
        const struct run_process *process = &run->processes[i];

        warn(run, store, process->id && !process->facts->known,
             "nothing is known of process number %u but its events", process->facts->number);
        if (is_cut(process))
            warn_cut(run, store, i);
    }
}

/* That no signal stopped recording where one should have, the program's own handler explains. */
static void warn_taken(const struct run *run, struct store *store)
{
    for (size_t i = 0; i < run->process_count; i++) {
        const struct run_process *process = &run->processes[i];
        double seconds = (double)clock_ns(&run->file->clock, process->facts->taken_ticks) / 1e9;

        warn(run, store, process->id && process->facts->taken_signal,
             "process %llu took signal %llu, which should stop and start recording, for itself "
             "after %.3f s",
             (unsigned long long)process->facts->pid,
             (unsigned long long)process->facts->taken_signal, seconds);
    }
}

/* Parts of the run in which recording had to stop. Pauses were asked for, and whoever replaced the
 * recorder, or ran where it does not look, did not stop it. */
static uint64_t failed_parts(const struct run *run)
{
    size_t count;
    const struct facts_gap *gaps = facts_gaps(run->facts, &count);
    uint64_t failed = 0;

    for (size_t i = 0; i < count; i++)
        failed += gaps[i].reason != TRACE_GAP_PAUSED && gaps[i].reason != TRACE_GAP_REPLACED &&
                  gaps[i].reason != TRACE_GAP_UNSEEN && run_process_id(run, gaps[i].process);
    return failed;
}

/* Is every process's END there? Else it may have been in the middle of anything. */
static bool have_all_ended(const struct run *run)
{
    for (size_t i = 0; i < run->process_count; i++)
        if (!run->processes[i].facts->ended)
            return false;
    return true;
}

/* A sampled run in which nothing was sampled, whatever the selection. */
static void warn_no_sample(const struct run *run, struct store *store)
{
    uint64_t due = 0, late = 0, missed = 0;
    size_t count;
    const struct facts_sampler *samplers = facts_samplers(run->facts, &count);
    bool is_empty = run->is_sampled && run->process_count && run->file->thread_count == 0;

    for (size_t i = 0; i < count; i++) {
        due += samplers[i].due;
        late += samplers[i].late;
        missed += samplers[i].missed;
    }
    if (missed || due)
        warn(run, store, is_empty,
             "no sample was taken: rounds that were due: %llu, late or not at all: %llu, stacks in "
             "doubt: %llu",
             (unsigned long long)due, (unsigned long long)late, (unsigned long long)missed);
    else if (failed_parts(run) || run->file->stop)
        warn(run, store, is_empty, "no sample was taken: recording stopped before the first");
    else if (count_gaps(run, TRACE_GAP_PAUSED))
        warn(run, store, is_empty, "no sample was taken: recording was stopped all the time");
    else
        warn(run, store, is_empty, "no sample was taken: %s before the first",
             have_all_ended(run) ? "the program was over" : "the trace ends");
}

static bool has_settings(const struct run *run)
{
    size_t count;

    facts_settings(run->facts, &count);
    return count > 0;
}

void run_store_warnings(const struct run *run, struct store *store)
{
    const struct trace_damage *damage = &run->file->damage;

    warn(run, store, damage->places == 1, "%llu bytes at offset %llu are damaged",
         (unsigned long long)damage->bytes, (unsigned long long)damage->first_offset);
    warn(run, store, damage->places > 1,
         "%llu bytes in %llu places are damaged, the first at offset %llu",
         (unsigned long long)damage->bytes, (unsigned long long)damage->places,
         (unsigned long long)damage->first_offset);
    warn(run, store, damage->cut, "the file is cut off at %llu bytes, inside a chunk",
         (unsigned long long)run->file->size);
    warn(run, store, damage->missing, "the file ends at %llu bytes; it once had %llu more",
         (unsigned long long)run->file->size, (unsigned long long)damage->missing);
    warn(run, store, run->file->stop, "recording stopped: %s",
         run->file->stop == TRACE_GAP_FULL ? "out of space, or at the limit given"
                                           : "the trace could not be written any more");
    warn(run, store, run->file->stop ? 0 : failed_parts(run),
         "recording had to stop before the end: the table gaps says when");
    warn(run, store, !has_settings(run),
         "what the run's chunk told (command, mode, settings) is missing");
    warn(run, store, run->process_count == 0, "no process was recorded");
    warn_gaps(run, store);
    warn_counts(run, store);
    warn_ends(run, store);
    warn_taken(run, store);
    warn_no_sample(run, store);
}

bool run_is_complete(const struct run *run)
{
    const struct trace_damage *damage = &run->file->damage;
    const struct replay_trouble *trouble = run->trouble;

    return run->process_count && have_all_ended(run) && has_settings(run) && !failed_parts(run) &&
           !run->file->stop && !damage->places && !damage->cut && !damage->missing &&
           !run->missing_texts && !facts_trouble(run->facts)->lost && !trouble->lost_chunks &&
           !trouble->lost_events && !trouble->undecoded && !trouble->mismatches &&
           !count_stopped(run) && !count_gaps(run, TRACE_GAP_REPLACED) &&
           !count_gaps(run, TRACE_GAP_UNSEEN);
}
