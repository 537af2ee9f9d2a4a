#include "analyzer/facts_inside.h"

#include <stdlib.h>
#include <string.h>

#include "analyzer/grow.h"
#include "analyzer/trace_file.h"
#include "formats/error.h"

/* --- Reading --- */

static int keep_payload(struct facts *facts, struct trace_buffer *buffer)
{
    uint8_t **grown =
        grow_array(facts->payloads, facts->payload_count, &facts->payload_room, sizeof *grown);

    if (!grown)
        return -1;
    facts->payloads = grown;
    facts->payloads[facts->payload_count++] = buffer->bytes;
    buffer->bytes = NULL;
    return 0;
}

static int read_chunk(struct facts *facts, const struct trace_chunk *chunk, struct error *err)
{
    struct trace_buffer buffer = {0};
    int status = trace_file_read(facts->file, chunk, &buffer, err);

    if (status == 0 && keep_payload(facts, &buffer) == 0)
        facts_read_records(facts, chunk, facts->payloads[facts->payload_count - 1], buffer.size);
    else if (status == 0)
        facts->out_of_memory = true;
    trace_buffer_free(&buffer);
    return status;
}

static int read_kind(struct facts *facts, uint32_t kind, struct error *err)
{
    size_t first, count = trace_file_chunks(facts->file, kind, &first);
    const struct trace_chunk *chunks = facts->file->chunks;

    for (size_t i = first; i < first + count; i++) {
        bool follows = i > first && chunks[i].process == chunks[i - 1].process;
        uint64_t expected = follows ? chunks[i - 1].sequence + 1 : 0;
        if (kind == TRACE_FACTS)
            facts->trouble.lost += chunks[i].sequence - expected;
        if (read_chunk(facts, &chunks[i], err) < 0)
            return -1;
    }
    return 0;
}

/* Processes of which no fact is left, but events are. */
static void add_unknown_processes(struct facts *facts)
{
    const struct trace_file *file = facts->file;

    for (size_t i = 0; i < file->thread_count; i++) {
        uint32_t number = file->threads[i].process;
        if (i && file->threads[i - 1].process == number)
            continue;
        if (fact_list_find(&facts->processes, number, 0))
            continue;
        struct process_entry *entry = facts_add(facts, &facts->processes, number, 0);
        if (!entry)
            return;
        entry->process.number = number;
    }
}

static int compare_starts(const void *a, const void *b)
{
    const struct facts_process *x = *(struct facts_process *const *)a,
                               *y = *(struct facts_process *const *)b;

    if (x->pid != y->pid)
        return x->pid < y->pid ? -1 : 1;
    if (x->start_ticks != y->start_ticks)
        return x->start_ticks < y->start_ticks ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* The process that a CHILD record is about: of those with that pid the last that began before.
 * `by_start` is in order of pid and start. */
static void match_child(struct facts_process *const *by_start, size_t count,
                        const struct facts_child *child)
{
    size_t low = 0, high = count;

    while (low < high) { /* the first that is behind it */
        size_t middle = low + (high - low) / 2;
        const struct facts_process *process = by_start[middle];
        if (process->pid > child->pid ||
            (process->pid == child->pid && process->start_ticks > child->ticks))
            high = middle;
        else
            low = middle + 1;
    }
    if (low == 0 || by_start[low - 1]->pid != child->pid)
        return;
    by_start[low - 1]->reaped = true;
    by_start[low - 1]->wait_status = child->status;
    by_start[low - 1]->reaped_ticks = child->ticks;
}

static void match_children(struct facts *facts)
{
    struct process_entry *entries = facts->processes.items;
    struct facts_process **by_start = malloc((facts->processes.count + 1) * sizeof *by_start);
    size_t count = 0;

    if (!by_start) {
        facts->out_of_memory = true;
        return;
    }
    for (size_t i = 0; i < facts->processes.count; i++)
        if (entries[i].process.known)
            by_start[count++] = &entries[i].process;
    qsort(by_start, count, sizeof *by_start, compare_starts);
    for (size_t i = 0; i < facts->child_count; i++)
        match_child(by_start, count, &facts->children[i]);
    free(by_start);
}

static void settle(struct facts *facts)
{
    fact_list_settle(&facts->processes);
    add_unknown_processes(facts);
    fact_list_settle(&facts->processes);
    fact_list_settle(&facts->threads);
    fact_list_settle(&facts->files);
    fact_list_settle(&facts->codes);
    fact_list_settle(&facts->strings);
    fact_list_settle(&facts->windows);
    fact_list_settle(&facts->stats);
    match_children(facts);
    struct facts_code *codes = facts->codes.items;
    for (size_t i = 0; i < facts->codes.count; i++)
        codes[i].file = facts_file(facts, codes[i].key.process, codes[i].file_number);
}

struct facts *facts_read(const struct trace_file *file, struct error *err)
{
    struct facts *facts = calloc(1, sizeof *facts);

    if (!facts) {
        error_set(err, "%s: out of memory", file->path);
        return NULL;
    }
    facts->file = file;
    facts->processes.size = sizeof(struct process_entry);
    facts->threads.size = sizeof(struct facts_thread);
    facts->files.size = sizeof(struct facts_file);
    facts->codes.size = sizeof(struct facts_code);
    facts->strings.size = sizeof(struct facts_string);
    facts->windows.size = sizeof(struct facts_window);
    facts->stats.size = sizeof(struct facts_stats);
    int status = read_kind(facts, TRACE_RUN, err) < 0 ? -1 : read_kind(facts, TRACE_FACTS, err);
    if (status == 0)
        settle(facts);
    if (status == 0 && facts->out_of_memory)
        status = error_set(err, "%s: out of memory", file->path);
    if (status == 0)
        return facts;
    facts_free(facts);
    return NULL;
}

void facts_free(struct facts *facts)
{
    if (!facts)
        return;
    for (size_t i = 0; i < facts->payload_count; i++)
        free(facts->payloads[i]);
    free(facts->payloads);
    free(facts->processes.items);
    free(facts->threads.items);
    free(facts->files.items);
    free(facts->codes.items);
    free(facts->strings.items);
    free(facts->windows.items);
    free(facts->stats.items);
    free(facts->children);
    free(facts->settings);
    free(facts->gaps);
    free(facts->samplers);
    free(facts);
}

/* --- Lookup --- */

/* As the process sees it: its own, else, below its code base, its parent's. */
static void *find_inherited(const struct facts *facts, const struct fact_list *list,
                            uint32_t process, uint64_t number)
{
    for (size_t steps = 0; steps <= facts->processes.count; steps++) {
        void *item = fact_list_find(list, process, number);
        if (item)
            return item;
        const struct facts_process *self = facts_process(facts, process);
        if (!self || self->how != TRACE_PROCESS_FORK || number >= self->code_base ||
            self->parent > UINT32_MAX)
            return NULL;
        process = (uint32_t)self->parent;
    }
    return NULL;
}

struct facts_code *facts_code(const struct facts *facts, uint32_t process, uint64_t number)
{
    /* Number 0 is no code, whatever a record says: lost frames are of it. */
    return number ? find_inherited(facts, &facts->codes, process, number) : NULL;
}

struct facts_file *facts_file(const struct facts *facts, uint32_t process, uint64_t number)
{
    return find_inherited(facts, &facts->files, process, number);
}

bool facts_string(const struct facts *facts, uint32_t process, uint64_t number,
                  struct trace_bytes *text)
{
    const struct facts_string *string = find_inherited(facts, &facts->strings, process, number);

    *text = string ? string->text : (struct trace_bytes){(const uint8_t *)"", 0};
    return string;
}

struct facts_process *facts_process(const struct facts *facts, uint32_t process)
{
    struct process_entry *entry = fact_list_find(&facts->processes, process, 0);

    return entry ? &entry->process : NULL;
}

const struct facts_thread *facts_thread(const struct facts *facts, uint32_t process,
                                        uint64_t thread)
{
    return fact_list_find(&facts->threads, process, thread);
}

size_t facts_process_count(const struct facts *facts)
{
    return facts->processes.count;
}

struct facts_process *facts_process_at(const struct facts *facts, size_t i)
{
    return &((struct process_entry *)facts->processes.items)[i].process;
}

struct facts_thread *facts_threads(const struct facts *facts, size_t *count)
{
    *count = facts->threads.count;
    return facts->threads.items;
}

struct facts_file *facts_files(const struct facts *facts, size_t *count)
{
    *count = facts->files.count;
    return facts->files.items;
}

struct facts_code *facts_codes(const struct facts *facts, size_t *count)
{
    *count = facts->codes.count;
    return facts->codes.items;
}

const struct facts_setting *facts_settings(const struct facts *facts, size_t *count)
{
    *count = facts->setting_count;
    return facts->settings;
}

const struct facts_sampler *facts_samplers(const struct facts *facts, size_t *count)
{
    *count = facts->sampler_count;
    return facts->samplers;
}

const struct facts_gap *facts_gaps(const struct facts *facts, size_t *count)
{
    *count = facts->gap_count;
    return facts->gaps;
}

const struct facts_window *facts_windows(const struct facts *facts, size_t *count)
{
    *count = facts->windows.count;
    return facts->windows.items;
}

uint64_t facts_events_written(const struct facts *facts, uint32_t process, uint64_t thread)
{
    const struct facts_stats *stats = fact_list_find(&facts->stats, process, thread);

    return stats ? stats->events : 0;
}

const struct facts_stats *facts_stats(const struct facts *facts, size_t *count)
{
    *count = facts->stats.count;
    return facts->stats.items;
}

const struct facts_trouble *facts_trouble(const struct facts *facts)
{
    return &facts->trouble;
}

struct trace_bytes facts_setting(const struct facts *facts, const char *key)
{
    size_t size = strlen(key);

    for (size_t i = facts->setting_count; i-- > 0;)
        if (facts->settings[i].key.size == size &&
            memcmp(facts->settings[i].key.at, key, size) == 0)
            return facts->settings[i].value;
    return (struct trace_bytes){(const uint8_t *)"", 0};
}

struct facts_lines facts_lines(const struct facts_code *code)
{
    return (struct facts_lines){.cursor = trace_cursor_over(code->lines.at, code->lines.size),
                                .left = code->line_count,
                                .line = code->first_line};
}

bool facts_next_line(struct facts_lines *lines, int64_t *line)
{
    if (lines->left-- == 0)
        return false;
    int64_t step = trace_read_svarint(&lines->cursor);
    if (lines->cursor.status != TRACE_OK || step < -FACTS_LINE_MAX || step > FACTS_LINE_MAX)
        return false;
    lines->line += step;
    *line = lines->line;
    return lines->line >= 0 && lines->line <= FACTS_LINE_MAX;
}
