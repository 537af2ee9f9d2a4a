#include "analyzer/replay_samples.h"

#include <stdlib.h>
#include <string.h>

#include "analyzer/facts.h"
#include "analyzer/grow.h"
#include "analyzer/map.h"
#include "analyzer/replay_stack.h"
#include "analyzer/sample_cpu.h"
#include "analyzer/sample_sums.h"
#include "analyzer/trace_file.h"
#include "formats/error.h"
#include "formats/trace/samples.h"

/* A place in the tree: a code and a line below another one. The first is the root: no frame. */
struct node {
    uint64_t code;
    int64_t step;                  /* from the code's first line */
    size_t parent, child, sibling; /* 0: none */
    uint64_t samples, below;       /* below: its own and those of its subtree, once added up */
    int64_t ns[SAMPLE_STATES];
    int64_t cpu;
    double squares;
};

/* One thread being gathered. */
struct gatherer {
    struct replay *replay;
    struct node *nodes; /* owned */
    size_t count, room;
    struct map places;   /* nodes by parent and code, and line; behind a place in `nodes` plus 1 */
    size_t *chunk_nodes; /* owned; the chunk's numbers as places in `nodes` */
    size_t chunk_count, chunk_room;
    size_t last; /* where the last sample was */
    enum sample_state state;
    bool has_last; /* in this chunk */
    int64_t cpu;   /* ns on a processor that no sample has taken yet */
    bool out_of_memory;
};

/* --- The tree --- */

/* Numbers that no recorder writes, and no line has, are those of unknown code. */
static void make_sane(uint64_t *code, int64_t *step)
{
    if (*code > UINT32_MAX)
        *code = 0;
    if (*step < -SUMS_LINE_FAR || *step > SUMS_LINE_FAR || *code == 0)
        *step = 0;
}

/* The place of a node, made at first need; 0: no memory. */
static size_t find_node(struct gatherer *gatherer, size_t parent, uint64_t code, int64_t step)
{
    make_sane(&code, &step);
    void **slot = map_put(&gatherer->places, (uint64_t)parent << 32 | code, (uint64_t)step);
    if (slot && *slot)
        return (size_t)(uintptr_t)*slot;
    struct node *grown =
        slot && gatherer->count < UINT32_MAX
            ? grow_array(gatherer->nodes, gatherer->count, &gatherer->room, sizeof *grown)
            : NULL;
    if (!grown) {
        gatherer->out_of_memory = true;
        return 0;
    }
    gatherer->nodes = grown;
    grown[gatherer->count] =
        (struct node){.code = code, .step = step, .parent = parent, .sibling = grown[parent].child};
    grown[parent].child = gatherer->count;
    *slot = (void *)(uintptr_t)gatherer->count;
    return gatherer->count++;
}

/* A chunk's node number as a place; one that the chunk does not define is the root. */
static size_t place_of(struct gatherer *gatherer, uint64_t number)
{
    if (number == 0)
        return 0;
    if (number <= gatherer->chunk_count)
        return gatherer->chunk_nodes[number - 1];
    gatherer->replay->trouble.strays++;
    return 0;
}

static void define_node(struct gatherer *gatherer, const struct trace_sample *sample)
{
    size_t *grown = grow_array(gatherer->chunk_nodes, gatherer->chunk_count, &gatherer->chunk_room,
                               sizeof *grown);

    if (!grown) {
        gatherer->out_of_memory = true;
        return;
    }
    gatherer->chunk_nodes = grown;
    size_t parent = place_of(gatherer, sample->node);
    grown[gatherer->chunk_count++] = find_node(gatherer, parent, sample->code, sample->line_step);
}

/* --- Samples --- */

static int64_t pass(struct gatherer *gatherer, uint64_t units)
{
    return clock_hand_advance(&gatherer->replay->hand, units);
}

static void count_samples(struct gatherer *gatherer, int64_t passed, uint64_t count)
{
    struct node *node = &gatherer->nodes[gatherer->last];

    node->samples += count;
    node->ns[gatherer->state] += passed;
    node->cpu += sample_cpu_take(&gatherer->cpu, gatherer->state, passed);
    node->squares += (double)passed * (double)passed / (double)count;
    gatherer->replay->events += count;
}

static void take_sample(struct gatherer *gatherer, const struct trace_sample *sample)
{
    gatherer->last = place_of(gatherer, sample->node);
    gatherer->state = (enum sample_state)(sample->tag - TRACE_SAMPLE_RUNNING);
    gatherer->has_last = true;
    sample_cpu_add(&gatherer->cpu, sample->cpu);
    count_samples(gatherer, pass(gatherer, sample->time), 1);
}

static void take_same(struct gatherer *gatherer, const struct trace_sample *sample)
{
    int64_t passed = pass(gatherer, sample->time);

    if (!gatherer->has_last) { /* the same as what? */
        gatherer->replay->trouble.strays++;
        gatherer->last = 0;
        gatherer->state = SAMPLE_BLOCKED;
    }
    count_samples(gatherer, passed, sample->count);
}

static void take_gap(struct gatherer *gatherer, const struct trace_sample *sample)
{
    int64_t start = gatherer->replay->hand.ns;

    pass(gatherer, sample->time);
    replay_note_gap(gatherer->replay, start, sample->reason);
    gatherer->cpu = 0;
}

static void take_record(struct gatherer *gatherer, const struct trace_sample *sample)
{
    switch (sample->tag) {
    case TRACE_SAMPLE_NODE:
        define_node(gatherer, sample);
        break;
    case TRACE_SAMPLE_RUNNING:
    case TRACE_SAMPLE_GIL:
    case TRACE_SAMPLE_BLOCKED:
        take_sample(gatherer, sample);
        break;
    case TRACE_SAMPLE_SAME:
        take_same(gatherer, sample);
        break;
    case TRACE_SAMPLE_GAP:
        take_gap(gatherer, sample);
        break;
    case TRACE_SAMPLE_EXTENSION:
        gatherer->replay->trouble.extensions++;
        break;
    default: /* UNITS; MISSED: the next sample has their time */
        break;
    }
}

/* --- Chunks --- */

/* Time goes on to the chunk's anchor, where the chunk before it ended unless something is missing.
 */
static void reach_chunk(struct replay *replay, const struct trace_file *file,
                        const struct trace_chunk *chunk, const struct trace_chunk *before)
{
    int64_t start = replay->hand.ns;

    if (!before) {
        clock_hand_init(&replay->hand, &file->clock, chunk->ticks);
        replay->first_ns = start = replay->hand.ns;
        replay_set_lag(replay);
    } else {
        clock_hand_set(&replay->hand, &file->clock, chunk->ticks);
    }
    replay->trouble.lost_chunks += chunk->sequence - (before ? before->sequence + 1 : 0);
    uint64_t seen = replay->events + replay->trouble.lost_events;
    if (chunk->events_before > seen)
        replay->trouble.lost_events += chunk->events_before - seen;
    if (replay->hand.ns > start)
        replay_note_gap(replay, start, TRACE_GAP_LOST);
}

static int gather_chunk(struct gatherer *gatherer, const struct trace_file *file,
                        const struct trace_chunk *chunk, struct trace_buffer *buffer,
                        struct error *err)
{
    struct trace_sampling sampling = trace_sampling_new();
    struct trace_sample sample;

    if (trace_file_read(file, chunk, buffer, err) < 0)
        return -1;
    struct trace_cursor cur = trace_cursor_over(buffer->bytes, buffer->size);
    gatherer->chunk_count = 0;
    gatherer->has_last = false;
    while (!gatherer->out_of_memory && trace_next_sample(&cur, &sampling, &sample))
        take_record(gatherer, &sample);
    gatherer->replay->trouble.undecoded += chunk->sealed && cur.status != TRACE_AT_END;
    return 0;
}

static int gather(struct gatherer *gatherer, const struct trace_file *file,
                  const struct trace_thread *thread, replay_progress *progress, void *context,
                  struct error *err)
{
    const struct trace_chunk *chunk = &file->chunks[thread->first], *end = chunk + thread->count;
    const struct trace_chunk *before = NULL;
    struct trace_buffer buffer = {0};
    int status = 0;

    for (; status == 0 && chunk < end && !gatherer->out_of_memory; before = chunk++) {
        reach_chunk(gatherer->replay, file, chunk, before);
        status = gather_chunk(gatherer, file, chunk, &buffer, err);
        if (status == 0 && progress && progress(context, chunk->size))
            status = error_set(err, "%s: stopped", file->path);
    }
    trace_buffer_free(&buffer);
    return status;
}

/* --- Playing --- */

/* Parents come before their children. */
static void add_up(struct gatherer *gatherer)
{
    for (size_t i = 0; i < gatherer->count; i++)
        gatherer->nodes[i].below = gatherer->nodes[i].samples;
    for (size_t i = gatherer->count; i-- > 1;)
        gatherer->nodes[gatherer->nodes[i].parent].below += gatherer->nodes[i].below;
}

/* The nearest frame from the top outward that is in the sums; frames[0] if there is none. */
static const struct replay_frame *booked_frame(const struct replay *replay)
{
    size_t i = replay->top;

    while (i > 0 && !replay->frames[i].is_booked)
        i--;
    return &replay->frames[i];
}

/* What a frame stands for: its function, line, that line of the file, the edge it was called by. */
#define THINGS 4

static void things_of(const struct replay_frame *frame, const void *things[THINGS])
{
    things[0] = frame->entry->function;
    things[1] = frame->cell->at;
    things[2] = frame->cell->at->file_line;
    things[3] = frame->entry->edge;
}

static struct sample_sums *sums_of(struct gatherer *gatherer, const void *thing)
{
    struct sample_sums *sums = sample_table_put(gatherer->replay->samples, thing);

    gatherer->out_of_memory |= !sums;
    return sums;
}

static void add_own(struct sample_sums *sums, const struct node *node)
{
    sums->samples += node->samples;
    for (int i = 0; i < SAMPLE_STATES; i++)
        sums->ns[i] += node->ns[i];
    sums->squares += node->squares;
}

/* The first time: its time and hits, to where it is. */
static void play_own(struct gatherer *gatherer, const struct node *node)
{
    struct replay *replay = gatherer->replay;
    const struct replay_frame *frame = booked_frame(replay);
    int64_t passed = node->ns[SAMPLE_RUNNING] + node->ns[SAMPLE_GIL] + node->ns[SAMPLE_BLOCKED];

    if (frame->is_booked) {
        frame->cell->hits += node->samples;
        replay->now.hits += node->samples;
    }
    replay_account(replay, passed, passed - node->cpu);
}

/* The second time: its samples, to all that the place belongs to. */
static void count_own(struct gatherer *gatherer, const struct node *node)
{
    const struct replay_frame *frame = booked_frame(gatherer->replay);
    const void *things[THINGS];
    struct sample_sums *sums;

    add_own(&gatherer->replay->samples->total, node);
    if (!frame->is_booked)
        return;
    things_of(frame, things);
    for (int i = 0; i < THINGS; i++)
        if (things[i] && (sums = sums_of(gatherer, things[i])))
            add_own(sums, node);
}

/* The frame on top comes onto the stack, or goes: by 1 or -1. */
static void count_active(struct gatherer *gatherer, const struct node *node, int by)
{
    const struct replay_frame *frame = &gatherer->replay->frames[gatherer->replay->top];
    const void *things[THINGS];
    struct sample_sums *sums;

    if (!frame->is_booked)
        return;
    things_of(frame, things);
    for (int i = 0; i < THINGS; i++) {
        if (!things[i] || !(sums = sums_of(gatherer, things[i])))
            continue;
        sums->active += (uint64_t)by;
        if (by < 0 && sums->active == 0)
            sums->cumulative_samples += node->below;
    }
}

static void visit(struct gatherer *gatherer, const struct node *node, bool counting)
{
    if (counting)
        count_own(gatherer, node);
    else
        play_own(gatherer, node);
}

static void enter(struct gatherer *gatherer, const struct node *node, bool counting)
{
    replay_push(gatherer->replay, sums_code_key(node->code), node->step, 0, REPLAY_INHERIT);
    if (gatherer->replay->out_of_memory)
        return;
    if (counting)
        count_active(gatherer, node, 1);
    visit(gatherer, node, counting);
}

static void leave(struct gatherer *gatherer, const struct node *node, bool counting)
{
    if (counting)
        count_active(gatherer, node, -1);
    replay_pop(gatherer->replay);
}

/* Each node once, with what is below it before what is beside it. Twice: lines that several
 * functions have are known to be so only when all have been there. */
static void play(struct gatherer *gatherer, bool counting)
{
    size_t at = 0;

    visit(gatherer, &gatherer->nodes[0], counting);
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): replay_samples() frees the nodes. */
    while (!gatherer->out_of_memory && !gatherer->replay->out_of_memory) {
        size_t next = gatherer->nodes[at].child;
        while (next == 0 && at != 0) {
            leave(gatherer, &gatherer->nodes[at], counting);
            next = gatherer->nodes[at].sibling;
            at = gatherer->nodes[at].parent;
        }
        if (next == 0)
            break;
        at = next;
        enter(gatherer, &gatherer->nodes[at], counting);
    }
}

/* Where a thread was when its process did not end in order: its last sample. */
static void play_last(struct gatherer *gatherer)
{
    struct replay *replay = gatherer->replay;
    size_t depth = 0, *path;

    for (size_t at = gatherer->last; at != 0; at = gatherer->nodes[at].parent)
        depth++;
    path = malloc((depth + 1) * sizeof *path);
    if (!path) {
        gatherer->out_of_memory = true;
        return;
    }
    for (size_t at = gatherer->last, i = depth; at != 0; at = gatherer->nodes[at].parent)
        path[--i] = at;
    replay_set_lag(replay);
    for (size_t i = 0; i < depth && !replay->out_of_memory; i++)
        replay_push(replay, sums_code_key(gatherer->nodes[path[i]].code),
                    gatherer->nodes[path[i]].step, 0, REPLAY_INHERIT);
    free(path);
}

static int begin(struct gatherer *gatherer)
{
    gatherer->replay->samples = calloc(1, sizeof *gatherer->replay->samples);
    gatherer->nodes = grow_array(NULL, 0, &gatherer->room, sizeof *gatherer->nodes);
    if (!gatherer->replay->samples || !gatherer->nodes)
        return -1;
    gatherer->nodes[0] = (struct node){0};
    gatherer->count = 1;
    return 0;
}

int replay_samples(struct replay *replay, const struct trace_file *file,
                   const struct trace_thread *thread, replay_progress *progress, void *context,
                   struct error *err)
{
    struct gatherer gatherer = {.replay = replay};
    const struct facts_process *process = facts_process(replay->sums.facts, thread->process);
    int status = 0;

    gatherer.out_of_memory = begin(&gatherer) < 0;
    if (!gatherer.out_of_memory)
        status = gather(&gatherer, file, thread, progress, context, err);
    if (status == 0 && !gatherer.out_of_memory) {
        add_up(&gatherer);
        play(&gatherer, false);
        play(&gatherer, true);
        sample_table_settle(replay->samples);
        if (!gatherer.out_of_memory && !(process && process->ended))
            play_last(&gatherer);
    }
    replay->out_of_memory |= gatherer.out_of_memory;
    map_fini(&gatherer.places);
    free(gatherer.nodes);
    free(gatherer.chunk_nodes);
    return status;
}
