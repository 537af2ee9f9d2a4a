/* sampler_writer.h - the SAMPLES chunks of one sampled thread (TRACE.md section 9).
 *
 * Stacks are nodes of a tree, numbered anew in each chunk. Only the sampler's thread writes; when
 * it has ended, whoever waited for it.
 */
#ifndef RECORDER_SAMPLER_WRITER_H
#define RECORDER_SAMPLER_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/trace/trace.h"
#include "recorder/sink.h"

struct sampler_node {
    uint64_t key; /* parent and code */
    uint32_t line;
    uint32_t number; /* 0: free */
};

struct sampler_writer {
    uint32_t number; /* the thread's, in the run; 0: not begun */
    struct sink_slot slot;
    uint8_t *at, *end;
    uint64_t sequence;
    uint64_t samples, samples_counted; /* counted: told to the sink */
    uint64_t last;                     /* ticks up to which its time is written */
    uint64_t cpu;                      /* ns up to which its CPU time is written */
    uint64_t time_unit, cpu_unit;      /* times 2^tick_shift ticks; ns */
    uint64_t chunk;                    /* changes with each chunk: nodes of another one are void */
    uint64_t missed;                   /* not written yet */
    uint64_t same, same_until; /* samples like the last one, not written yet, and their end */
    uint32_t node_count;
    struct sampler_node *nodes; /* owned: open addressing */
    size_t node_room;
};

/* The thread is made known to the trace; its first sample stands for the time from `since` on, when
 * its CPU clock showed `cpu`. False: recording is over. */
bool sampler_writer_begin(struct sampler_writer *writer, const char *name, size_t name_size,
                          int native, bool is_main, uint64_t since, uint64_t cpu);

/* Room for a sample with `count` new nodes, or, in a new chunk, with `depth` of them. False: as
 * above. */
bool sampler_writer_reserve(struct sampler_writer *writer, size_t count, size_t depth);

/* The number of a node, which is written if it is new. There is room. */
uint32_t sampler_writer_node(struct sampler_writer *writer, uint32_t parent, uint32_t code,
                             int32_t line, int32_t first_line);

/* A sample taken at `now`; there is room. */
void sampler_writer_sample(struct sampler_writer *writer, enum trace_sample_tag state, uint64_t now,
                           uint32_t node, uint64_t cpu);

/* `count` samples more, the last of them at `now`, like the one before: the thread has not moved.
 */
void sampler_writer_same(struct sampler_writer *writer, uint64_t count, uint64_t now);

/* Nothing is known of the time from the last record to `now`. */
void sampler_writer_gap(struct sampler_writer *writer, uint64_t now, enum trace_gap_reason reason,
                        uint64_t cpu);

/* Writes what is pending and seals. */
void sampler_writer_end(struct sampler_writer *writer);

/* The same for a thread that is over: what it leaves may go into a PACK chunk. */
void sampler_writer_pack(struct sampler_writer *writer);

/* Frees; with `of_parent`, in a fork's child, the chunk is left as it is. */
void sampler_writer_fini(struct sampler_writer *writer, bool of_parent);

#endif
