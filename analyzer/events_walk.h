/* events_walk.h - the events of one thread, one after the other, straight from the trace.
 *
 * Nothing is summed and nothing kept but the stack and the generators suspended in the current
 * chunk. What costs (times in ns, the next event's stamp, names) is computed only when asked for,
 * so a plain walk is a decode loop.
 */
#ifndef ANALYZER_EVENTS_WALK_H
#define ANALYZER_EVENTS_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/clock.h"
#include "analyzer/events_suspended.h"
#include "analyzer/facts.h"
#include "analyzer/trace_file.h"
#include "formats/trace/samples.h"

struct error;

enum { EVENTS_CODES = 1024 }; /* remembered lookups; a power of two */

/* What a row of a sampled thread says, beside the tags of events. */
enum { EVENTS_TAG_SAMPLE = 0x10 };

/* A node of a chunk of samples. */
struct events_node {
    uint64_t parent, code;
    int64_t line_step;
};

struct events_walk {
    const struct trace_file *file; /* borrowed */
    const struct facts *facts;     /* borrowed */
    uint64_t from_ticks, to_ticks; /* the window, both included ... */
    int64_t from_ns, to_ns;        /* ... and in ns */

    /* Where it is. */
    uint32_t process, thread;
    size_t chunk, chunk_end; /* of file->chunks; chunk is the current one */
    bool in_chunk;
    struct trace_buffer buffer, ahead;
    struct trace_cursor cursor;
    uint64_t ticks;
    struct clock_hand hand; /* follows ticks, lazily */
    bool ordered;           /* the chunks' anchors ascend */
    bool lagging;           /* it may be ahead of them: the chunk's anchor lies in the past */
    uint64_t next_number;   /* of the next activation */
    struct events_frame *stack;
    size_t depth, room;
    size_t unknown_frames; /* that were pushed because a record said that they were there */
    struct events_suspended suspended;

    /* Of a sampled thread: the chunk's nodes, and where its last sample was. */
    bool is_sampled;
    struct trace_sampling sampling;
    struct events_node *nodes; /* owned */
    size_t node_count, node_room;
    uint64_t sample_state; /* enum trace_sample_tag: that of the sample before */
    int64_t pending_cpu;   /* ns that no sample has taken yet */

    /* What the last row leaves to be done before the next. */
    bool gap_pending;
    struct trace_event gap;
    bool lost_told; /* the row says what was lost before the next chunk */

    /* The row. */
    enum trace_tag tag;
    uint64_t seq;                     /* from 1, in the thread */
    const struct events_frame *frame; /* what it is about; NULL: no frame was open */
    size_t row_depth;                 /* how many frames are outside it */
    uint64_t string;                  /* RAISE, C_CALL, MARK: number of a string; GAP: the reason;
                                         a sample: enum trace_sample_tag of its state */
    bool is_stack_news;               /* rows before it do not tell how its stack came to be */
    uint64_t samples;                 /* a sample: for how many the row stands ... */
    int64_t sample_ns, sample_cpu_ns; /* ... the time before it that it stands for, and on a
                                         processor */

    struct {
        uint64_t number;
        const struct facts_code *code;
    } codes[EVENTS_CODES];
};

/* A walk over nothing yet. NULL: out of memory. Both are borrowed. */
struct events_walk *events_walk_new(const struct trace_file *file, const struct facts *facts);
void events_walk_free(struct events_walk *walk);

/* Only events from `from_ns` to `to_ns`; chunks that lie outside are not read. Holds for the
 * threads begun after. */
void events_walk_window(struct events_walk *walk, int64_t from_ns, int64_t to_ns);

/* Stands before the first event of that thread. */
void events_walk_begin(struct events_walk *walk, const struct trace_thread *thread);

/* Moves to the next event: 1, 0 at the thread's end, -1 with *err set. */
int events_walk_next(struct events_walk *walk, struct error *err);

/* For events_walk.c: the next record of a chunk of samples, as its step(). 1 if it makes a row, 0
 * if not, -1 with *err set; *ended: there are no more. */
int events_walk_step_sample(struct events_walk *walk, bool *ended, struct error *err);

/* For the same: a chunk begins. */
void events_walk_forget_samples(struct events_walk *walk);

/* For the same: a frame onto the stack; false: no memory. */
bool events_walk_push(struct events_walk *walk, uint64_t code, int64_t line_step);

/* Of the row: ns since the start of the run, and until the thread's next event (0: it is the last).
 * A sample's are those before it that it stands for; a gap's among samples, how long it is. */
int64_t events_walk_time(struct events_walk *walk);
int events_walk_self(struct events_walk *walk, int64_t *ns, struct error *err);

#endif
