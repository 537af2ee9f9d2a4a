/* replay.h - the events of one thread, played back onto a stack of activations and into sums.
 *
 * Balances whatever comes: generators leave the stack and come back, frames that were open before
 * recording are inherited, lost ones are unknown, C functions end when the Python code below them
 * goes on, frames of excluded code are transparent. Nothing in a trace makes it fail; only a lack
 * of memory does.
 */
#ifndef ANALYZER_REPLAY_H
#define ANALYZER_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/clock.h"
#include "analyzer/replay_suspended.h"
#include "analyzer/sums.h"
#include "analyzer/windows.h"
#include "formats/trace/decode.h"

struct error;
struct facts;
struct sample_table;
struct model;
struct trace_file;
struct trace_thread;

/* A thread's clocks: time without gaps, how much of it was not on a processor, lines begun. */
struct replay_now {
    int64_t time, wait;
    uint64_t hits;
};

/* What the hot loop can deal with. */
enum replay_kind {
    REPLAY_ODD,
    REPLAY_PLAIN,       /* booked Python code that is known */
    REPLAY_TRANSPARENT, /* Python code that is known and excluded */
};

#define REPLAY_NO_STATEMENT UINT32_MAX

/* An activation on the stack. frames[0] is none: what happens there is outside. */
struct replay_frame {
    struct sums_cell *cell;   /* where it is; of a frame not booked where the one below it is */
    struct sums_node *node;   /* ... and in which context that is */
    struct sums_entry *entry; /* how it was entered; NULL: frames[0], or C that is not booked */
    struct sums_node *outer;   /* of its function's next lower activation */
    struct replay_now entered; /* when it was entered ... */
    int64_t below, below_wait; /* ... and what booked frames called from it took */
    uint64_t key;              /* of its code, or of a C function */
    uint64_t activation;       /* its number; 0: begun by another thread */
    union {
        int64_t line;    /* as the trace has it, in range or not */
        uint64_t repeat; /* of unknown code: this many frames like it, one on the other; of lost
                            ones only the number is known */
    };
    uint32_t lag; /* replay->lags[]: what of the stamp at which it was entered or last resumed is
                     not in `entered` */
    uint32_t statement; /* of its line; REPLAY_NO_STATEMENT: it has begun none yet */
    bool is_unknown;
    bool is_booked;      /* else it is transparent, C called by transparent code, or frames[0] */
    uint8_t kind;        /* enum replay_kind */
    bool is_recursive;   /* a lower frame is of its function; not booked: as the one below it */
};

static inline bool replay_frame_is_c(const struct replay_frame *frame)
{
    return frame->key & 1;
}

struct replay_gap {
    int64_t start, end;
    uint64_t reason;
};

struct replay_mark {
    int64_t time;
    struct trace_bytes text;
    struct sums_line *at; /* NULL: outside */
};

/* What was not as it should be. */
struct replay_trouble {
    uint64_t strays;          /* events that need a frame, and there was none */
    uint64_t bad_lines;       /* lines out of range */
    uint64_t unknown_resumes; /* of activations that were not suspended */
    uint64_t mismatches;      /* chunks whose stack record is not the stack before them */
    uint64_t undecoded;       /* sealed chunks that do not decode to their end */
    uint64_t extensions;      /* events of a kind this version does not know */
    uint64_t lost_chunks;     /* missing sequence numbers */
    uint64_t lost_events;
};

/* The windows that were asked for. Between them time stands still and nothing is counted, but who
 * comes onto the stack and goes is followed; behind the last one the thread is over. */
struct replay_cut {
    const struct window *next, *end; /* the one that is open, or comes next */
    int64_t since;                   /* the stamp since when it is outside of all */
    uint64_t events;                 /* outside */
    bool is_on;                      /* windows were asked for */
    bool is_outside, was_inside;
    bool is_slow; /* the chunk has an edge in it, or may have: not for the hot loop */
};

struct replay {
    struct sums sums;
    struct clock_hand hand;
    struct replay_now now;
    struct replay_frame *frames; /* owned */
    size_t top, room;
    uint64_t depth;       /* Python frames, repeated ones counted */
    uint64_t next;        /* number of the next activation */
    struct replay_suspensions suspended; /* activations that yielded in this chunk */
    int64_t cpu_stamp_at; /* ns; where the last CPU stamp stands */
    uint64_t cpu_total;   /* thread CPU time there */
    uint64_t cpu_pending; /* of the CPU event before the event to come */
    bool has_cpu;

    int64_t *lags; /* owned; stamps less times, each different from the one before */
    size_t lag_count, lag_room;
    uint32_t lag;             /* the one now */
    int64_t first_ns, gap_ns; /* hand.ns is the last */
    uint64_t events;
    struct replay_gap *gaps; /* owned */
    size_t gap_count, gap_room;
    struct replay_mark *marks; /* owned */
    size_t mark_count, mark_room;
    size_t open; /* frames[1 .. open] were open at the end: where, how and since when still stands
                    there */
    struct sample_table *samples; /* owned; NULL: the thread was recorded */
    struct replay_trouble trouble;
    struct replay_cut cut;
    bool guessed; /* there were frames of which nothing was known */
    bool out_of_memory;
};

/* Called between chunks with the bytes done. Not 0: stop. */
typedef int replay_progress(void *context, uint64_t bytes);

/* Plays a thread, all of it or (`windows` not NULL) what is in the windows. 0, or -1 with *err set.
 * In any case replay_fini() frees; *replay must not move. */
int replay_thread(struct replay *replay, const struct trace_file *file,
                  const struct trace_thread *thread, const struct facts *facts, struct model *model,
                  const struct windows *windows, replay_progress *progress, void *context,
                  struct error *err);
void replay_fini(struct replay *replay);

/* The stamp at which a frame was entered or last resumed. */
int64_t replay_since(const struct replay *replay, const struct replay_frame *frame);

/* Was there anything that was asked for? */
static inline bool replay_has_part(const struct replay *replay)
{
    return !replay->cut.is_on || replay->cut.was_inside;
}

/* Events that count. */
static inline uint64_t replay_event_count(const struct replay *replay)
{
    return replay->events - replay->cut.events;
}

/* Bytes that it holds. */
uint64_t replay_memory(const struct replay *replay);

#endif
