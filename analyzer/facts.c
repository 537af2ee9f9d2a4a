#include "analyzer/facts.h"

#include <stdlib.h>
#include <string.h>

#include "analyzer/fact_list.h"
#include "analyzer/grow.h"
#include "analyzer/trace_file.h"
#include "formats/error.h"

#define EVENTS_MASK ((1ull << 39) - 1) /* no thread has more events; sums of it must fit */
#define LINE_MAX_VALUE 2147483647

struct facts_string {
    struct facts_key key;
    struct trace_bytes text;
};

struct facts_child {
    uint32_t process;
    uint64_t pid, status, ticks;
};

struct facts {
    const struct trace_file *file; /* borrowed */
    uint8_t **payloads;            /* owned: what all the strings point into */
    size_t payload_count, payload_room;
    size_t order;
    struct fact_list processes, threads, files, codes, strings, windows, stats;
    struct facts_child *children; /* owned */
    size_t child_count, child_room;
    struct facts_setting *settings; /* owned */
    size_t setting_count, setting_room;
    struct facts_sampler *samplers; /* owned */
    size_t sampler_count, sampler_room;
    struct facts_gap *gaps; /* owned */
    size_t gap_count, gap_room;
    struct facts_trouble trouble;
    bool out_of_memory;
};

/* struct facts_process begins with its number alone; in the list it stands behind a key like the
 * others. */
struct process_entry {
    struct facts_key key;
    struct facts_process process;
};

static void *list_add(struct facts *facts, struct fact_list *list, uint32_t process,
                      uint64_t number)
{
    void *item = fact_list_add(list, (struct facts_key){process, number, facts->order++});

    facts->out_of_memory |= !item;
    return item;
}

/* --- Records --- */

/* A process's END counts beside its PROCESS record, so both change one entry while reading. */
static struct facts_process *process_entry(struct facts *facts, uint32_t number)
{
    struct process_entry *entries = facts->processes.items;
    size_t count = facts->processes.count;

    if (count && entries[count - 1].key.process == number) /* chunks come process by process */
        return &entries[count - 1].process;
    struct process_entry *entry = list_add(facts, &facts->processes, number, 0);
    if (!entry)
        return NULL;
    entry->process.number = number;
    return &entry->process;
}

static void read_setting(struct facts *facts, uint32_t process, struct trace_cursor *cur)
{
    struct facts_setting *grown =
        grow_array(facts->settings, facts->setting_count, &facts->setting_room, sizeof *grown);

    (void)process;
    if (!grown) {
        facts->out_of_memory = true;
        return;
    }
    facts->settings = grown;
    struct facts_setting *setting = &grown[facts->setting_count];
    setting->key = trace_read_string(cur);
    setting->value = trace_read_string(cur);
    facts->setting_count += cur->status == TRACE_OK;
}

static void read_process(struct facts *facts, uint32_t number, struct trace_cursor *cur)
{
    struct facts_process *process = process_entry(facts, number);

    if (!process)
        return;
    process->known = true;
    process->parent = trace_read_varint(cur);
    process->how = trace_read_varint(cur);
    process->pid = trace_read_varint(cur);
    process->code_base = trace_read_varint(cur);
    process->start_ticks = trace_read_varint(cur);
    trace_read_varint(cur); /* monotonic: the chunk's anchor says it as well */
    process->executable = trace_read_string(cur);
    process->python = trace_read_string(cur);
    process->cwd = trace_read_string(cur);
    process->command = trace_read_string(cur);
}

static void read_thread(struct facts *facts, uint32_t process, struct trace_cursor *cur)
{
    struct facts_thread *thread = list_add(facts, &facts->threads, process, trace_read_varint(cur));

    if (!thread)
        return;
    thread->native_id = trace_read_varint(cur);
    thread->name = trace_read_string(cur);
    thread->is_main = trace_read_varint(cur) == 1;
}

static void read_file(struct facts *facts, uint32_t process, struct trace_cursor *cur)
{
    struct facts_file *file = list_add(facts, &facts->files, process, trace_read_varint(cur));

    if (!file)
        return;
    file->path = trace_read_string(cur);
    file->name = trace_read_string(cur);
    file->origin = trace_read_varint(cur);
    file->sha256 = trace_read_string(cur);
    file->size = trace_read_varint(cur);
    if (file->sha256.size != 32)
        file->sha256.size = 0;
}

static void read_code(struct facts *facts, uint32_t process, struct trace_cursor *cur)
{
    struct facts_code *code = list_add(facts, &facts->codes, process, trace_read_varint(cur));

    if (!code)
        return;
    uint64_t nested = trace_read_varint(cur);
    code->nested_in = nested ? nested - 1 : 0;
    code->file_number = trace_read_varint(cur);
    uint64_t line = trace_read_varint(cur);
    code->first_line = line > LINE_MAX_VALUE ? 0 : (int64_t)line;
    code->flags = trace_read_varint(cur);
    code->name = trace_read_string(cur);
    code->qualname = trace_read_string(cur);
    code->module = trace_read_string(cur);
    code->line_count = trace_read_varint(cur);
    code->lines = trace_read_bytes(cur, (uint64_t)(cur->end - cur->at));
}

static void read_string(struct facts *facts, uint32_t process, struct trace_cursor *cur)
{
    struct facts_string *string = list_add(facts, &facts->strings, process, trace_read_varint(cur));

    if (string)
        string->text = trace_read_string(cur);
}

static void read_end(struct facts *facts, uint32_t number, struct trace_cursor *cur)
{
    struct facts_process *process = process_entry(facts, number);

    if (!process)
        return;
    process->end_how = trace_read_varint(cur);
    process->end_status = trace_read_varint(cur);
    process->end_ticks = trace_read_varint(cur);
    process->ended = cur->status == TRACE_OK;
}

static void read_child(struct facts *facts, uint32_t process, struct trace_cursor *cur)
{
    struct facts_child *grown =
        grow_array(facts->children, facts->child_count, &facts->child_room, sizeof *grown);

    if (!grown) {
        facts->out_of_memory = true;
        return;
    }
    facts->children = grown;
    struct facts_child *child = &grown[facts->child_count];
    child->process = process;
    child->pid = trace_read_varint(cur);
    child->status = trace_read_varint(cur);
    child->ticks = trace_read_varint(cur);
    facts->child_count += cur->status == TRACE_OK;
}

static void read_gap(struct facts *facts, uint32_t process, struct trace_cursor *cur)
{
    struct facts_gap *grown =
        grow_array(facts->gaps, facts->gap_count, &facts->gap_room, sizeof *grown);

    if (!grown) {
        facts->out_of_memory = true;
        return;
    }
    facts->gaps = grown;
    struct facts_gap *gap = &grown[facts->gap_count];
    gap->process = process;
    gap->thread = trace_read_varint(cur);
    gap->reason = trace_read_varint(cur);
    gap->start_ticks = trace_read_varint(cur);
    gap->end_ticks = trace_read_varint(cur);
    facts->gap_count += cur->status == TRACE_OK;
}

static void read_window(struct facts *facts, uint32_t process, struct trace_cursor *cur)
{
    struct facts_window *window = list_add(facts, &facts->windows, process, trace_read_varint(cur));

    if (!window)
        return;
    window->owner = trace_read_string(cur);
    window->thread = trace_read_varint(cur);
    window->start_ticks = trace_read_varint(cur);
    window->end_ticks = trace_read_varint(cur);
}

static void read_stats(struct facts *facts, uint32_t process, struct trace_cursor *cur)
{
    struct facts_stats *stats = list_add(facts, &facts->stats, process, trace_read_varint(cur));

    trace_read_varint(cur); /* seen */
    if (stats)
        stats->events = trace_read_varint(cur) & EVENTS_MASK;
}

static void read_sampler(struct facts *facts, uint32_t process, struct trace_cursor *cur)
{
    struct facts_sampler *grown =
        grow_array(facts->samplers, facts->sampler_count, &facts->sampler_room, sizeof *grown);

    if (!grown) {
        facts->out_of_memory = true;
        return;
    }
    facts->samplers = grown;
    struct facts_sampler *sampler = &grown[facts->sampler_count];
    sampler->process = process;
    sampler->period = trace_read_varint(cur);
    sampler->due = trace_read_varint(cur);
    sampler->late = trace_read_varint(cur);
    sampler->taken = trace_read_varint(cur);
    sampler->missed = trace_read_varint(cur);
    sampler->cpu = trace_read_varint(cur);
    facts->sampler_count += cur->status == TRACE_OK;
}

typedef void read_record_function(struct facts *facts, uint32_t process, struct trace_cursor *cur);

static read_record_function *const readers[] = {
    [TRACE_FACT_SETTING] = read_setting, [TRACE_FACT_PROCESS] = read_process,
    [TRACE_FACT_THREAD] = read_thread,   [TRACE_FACT_FILE] = read_file,
    [TRACE_FACT_CODE] = read_code,       [TRACE_FACT_STRING] = read_string,
    [TRACE_FACT_END] = read_end,         [TRACE_FACT_CHILD] = read_child,
    [TRACE_FACT_GAP] = read_gap,         [TRACE_FACT_STATS] = read_stats,
    [TRACE_FACT_SAMPLER] = read_sampler,
    [TRACE_FACT_WINDOW] = read_window,
};

static void read_records(struct facts *facts, const struct trace_chunk *chunk, const uint8_t *bytes,
                         size_t size)
{
    struct trace_cursor cur = trace_cursor_over(bytes, size);
    struct trace_record record;

    while (trace_next_record(&cur, &record)) {
        if (record.kind >= sizeof readers / sizeof *readers || !readers[record.kind]) {
            facts->trouble.unknown++;
            continue;
        }
        readers[record.kind](facts, chunk->process, &record.fields);
        facts->trouble.records += record.fields.status != TRACE_OK;
    }
    facts->trouble.records += chunk->sealed && cur.status != TRACE_AT_END;
}

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
        read_records(facts, chunk, facts->payloads[facts->payload_count - 1], buffer.size);
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
        struct process_entry *entry = list_add(facts, &facts->processes, number, 0);
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
    if (lines->cursor.status != TRACE_OK || step < -LINE_MAX_VALUE || step > LINE_MAX_VALUE)
        return false;
    lines->line += step;
    *line = lines->line;
    return lines->line >= 0 && lines->line <= LINE_MAX_VALUE;
}
