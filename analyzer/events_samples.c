#include "analyzer/events_walk.h"
#include "analyzer/grow.h"
#include "analyzer/sample_cpu.h"
#include "formats/error.h"

/* A stack that no recorder writes. */
enum { DEPTH_MAX = 1 << 20 };

static int out_of_memory(const struct events_walk *walk, struct error *err)
{
    return error_set(err, "%s: out of memory", walk->file->path);
}

static int define_node(struct events_walk *walk, const struct trace_sample *sample,
                       struct error *err)
{
    struct events_node *grown =
        grow_array(walk->nodes, walk->node_count, &walk->node_room, sizeof *grown);

    if (grown == NULL)
        return out_of_memory(walk, err);
    walk->nodes = grown;
    /* A parent comes before its children: so every way ends at the root. */
    grown[walk->node_count] = (struct events_node){
        .parent = sample->node <= walk->node_count ? sample->node : 0,
        .code = sample->code,
        .line_step = sample->line_step,
    };
    walk->node_count++;
    return 0;
}

static void reverse(struct events_walk *walk)
{
    for (size_t i = 0, k = walk->depth; i + 1 < k--; i++) {
        struct events_frame frame = walk->stack[i];

        walk->stack[i] = walk->stack[k];
        walk->stack[k] = frame;
    }
}

static int take_stack(struct events_walk *walk, uint64_t node, struct error *err)
{
    walk->depth = 0;
    if (node > walk->node_count)
        node = 0;
    for (; node != 0 && walk->depth < DEPTH_MAX; node = walk->nodes[node - 1].parent) {
        const struct events_node *at = &walk->nodes[node - 1];

        if (!events_walk_push(walk, at->code, at->line_step))
            return out_of_memory(walk, err);
    }
    reverse(walk);
    return 0;
}

static void pass(struct events_walk *walk, uint64_t units)
{
    walk->ticks += units << walk->file->clock.shift;
}

/* A chunk's samples refer to each other and to its own nodes only. */
void events_walk_forget_samples(struct events_walk *walk)
{
    walk->node_count = 0;
    walk->sampling = trace_sampling_new();
    if (!walk->is_sampled)
        return;
    walk->depth = 0;
    walk->sample_state = TRACE_SAMPLE_BLOCKED;
}

/* The row is about the innermost frame. */
static int show(struct events_walk *walk, enum trace_tag tag, uint64_t samples)
{
    walk->seq += samples;
    walk->tag = tag;
    walk->frame = walk->depth > 0 ? &walk->stack[walk->depth - 1] : NULL;
    walk->row_depth = walk->depth > 0 ? walk->depth - 1 : 0;
    return 1;
}

static int show_sample(struct events_walk *walk, const struct trace_sample *sample,
                       struct error *err)
{
    int64_t before = events_walk_time(walk);

    pass(walk, sample->time);
    if (sample->tag != TRACE_SAMPLE_SAME) {
        walk->sample_state = sample->tag;
        sample_cpu_add(&walk->pending_cpu, sample->cpu);
        if (take_stack(walk, sample->node, err) < 0)
            return -1;
    }
    walk->string = walk->sample_state;
    walk->samples = sample->tag == TRACE_SAMPLE_SAME ? sample->count : 1;
    walk->sample_ns = events_walk_time(walk) - before;
    walk->sample_cpu_ns = sample_cpu_take(
        &walk->pending_cpu, (enum sample_state)(walk->sample_state - TRACE_SAMPLE_RUNNING),
        walk->sample_ns);
    return show(walk, (enum trace_tag)EVENTS_TAG_SAMPLE, walk->samples);
}

static int show_gap(struct events_walk *walk, const struct trace_sample *sample)
{
    walk->gap = (struct trace_event){.gap = sample->time};
    walk->gap_pending = true;
    walk->pending_cpu = 0;
    walk->string = sample->reason;
    return show(walk, TRACE_TAG_GAP, 0);
}

int events_walk_step_sample(struct events_walk *walk, bool *ended, struct error *err)
{
    struct trace_sample sample;

    *ended = !trace_next_sample(&walk->cursor, &walk->sampling, &sample);
    if (*ended)
        return 0;
    switch (sample.tag) {
    case TRACE_SAMPLE_NODE:
        return define_node(walk, &sample, err);
    case TRACE_SAMPLE_RUNNING:
    case TRACE_SAMPLE_GIL:
    case TRACE_SAMPLE_BLOCKED:
    case TRACE_SAMPLE_SAME:
        return show_sample(walk, &sample, err);
    case TRACE_SAMPLE_GAP:
        return show_gap(walk, &sample);
    default:
        return 0;
    }
}
