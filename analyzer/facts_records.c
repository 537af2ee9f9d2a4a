#include "analyzer/facts_inside.h"

#include "analyzer/grow.h"
#include "analyzer/trace_file.h"

#define EVENTS_MASK ((1ull << 39) - 1) /* no thread has more events; sums of it must fit */

void *facts_add(struct facts *facts, struct fact_list *list, uint32_t process, uint64_t number)
{
    void *item = fact_list_add(list, (struct facts_key){process, number, facts->order++});

    facts->out_of_memory |= !item;
    return item;
}

/* A process's END counts beside its PROCESS record, so both change one entry while reading. */
static struct facts_process *process_entry(struct facts *facts, uint32_t number)
{
    struct process_entry *entries = facts->processes.items;
    size_t count = facts->processes.count;

    if (count && entries[count - 1].key.process == number) /* chunks come process by process */
        return &entries[count - 1].process;
    struct process_entry *entry = facts_add(facts, &facts->processes, number, 0);
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
    if (cur->at == cur->end) /* recorders before the first release did not write the rest */
        return;
    process->start_time = trace_read_varint(cur);
    process->pid_namespace = trace_read_varint(cur);
}

static void read_thread(struct facts *facts, uint32_t process, struct trace_cursor *cur)
{
    struct facts_thread *thread =
        facts_add(facts, &facts->threads, process, trace_read_varint(cur));

    if (!thread)
        return;
    thread->native_id = trace_read_varint(cur);
    thread->name = trace_read_string(cur);
    thread->is_main = trace_read_varint(cur) == 1;
}

static void read_file(struct facts *facts, uint32_t process, struct trace_cursor *cur)
{
    struct facts_file *file = facts_add(facts, &facts->files, process, trace_read_varint(cur));

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
    struct facts_code *code = facts_add(facts, &facts->codes, process, trace_read_varint(cur));

    if (!code)
        return;
    uint64_t nested = trace_read_varint(cur);
    code->nested_in = nested ? nested - 1 : 0;
    code->file_number = trace_read_varint(cur);
    uint64_t line = trace_read_varint(cur);
    code->first_line = line > FACTS_LINE_MAX ? 0 : (int64_t)line;
    code->flags = trace_read_varint(cur);
    code->name = trace_read_string(cur);
    code->qualname = trace_read_string(cur);
    code->module = trace_read_string(cur);
    code->line_count = trace_read_varint(cur);
    code->lines = trace_read_bytes(cur, (uint64_t)(cur->end - cur->at));
}

static void read_string(struct facts *facts, uint32_t process, struct trace_cursor *cur)
{
    struct facts_string *string =
        facts_add(facts, &facts->strings, process, trace_read_varint(cur));

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

static void read_taken(struct facts *facts, uint32_t number, struct trace_cursor *cur)
{
    struct facts_process *process = process_entry(facts, number);
    uint64_t signal = trace_read_varint(cur), ticks = trace_read_varint(cur);

    if (!process || cur->status != TRACE_OK)
        return;
    process->taken_signal = signal;
    process->taken_ticks = ticks;
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
    struct facts_window *window =
        facts_add(facts, &facts->windows, process, trace_read_varint(cur));

    if (!window)
        return;
    window->owner = trace_read_string(cur);
    window->thread = trace_read_varint(cur);
    window->start_ticks = trace_read_varint(cur);
    window->end_ticks = trace_read_varint(cur);
}

static void read_stats(struct facts *facts, uint32_t process, struct trace_cursor *cur)
{
    struct facts_stats *stats = facts_add(facts, &facts->stats, process, trace_read_varint(cur));

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
    [TRACE_FACT_SAMPLER] = read_sampler, [TRACE_FACT_WINDOW] = read_window,
    [TRACE_FACT_TAKEN] = read_taken,
};

void facts_read_records(struct facts *facts, const struct trace_chunk *chunk, const uint8_t *bytes,
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
