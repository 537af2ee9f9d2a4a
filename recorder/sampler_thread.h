/* sampler_thread.h - one thread being sampled: its clock, its last stack, its chunks.
 *
 * Used by the sampler's own thread alone.
 */
#ifndef RECORDER_SAMPLER_THREAD_H
#define RECORDER_SAMPLER_THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "recorder/sampler_codes.h"
#include "recorder/sampler_known.h"
#include "recorder/sampler_layout.h"
#include "recorder/sampler_memory.h"
#include "recorder/sampler_state.h"
#include "recorder/sampler_writer.h"

/* A frame of a stack, outermost first. */
struct sampler_frame {
    uintptr_t address, code, instruction; /* as copied */
    const struct sampler_code *entry;     /* NULL: code that nobody announced */
    uint64_t birth;                       /* of its code; 0 then */
    uint32_t number;                      /* in the trace; 0: transparent, or not known */
    uint32_t offset;                      /* of the instruction */
    int32_t line, first_line;
    uint32_t node; /* of the nearest frame from here outward that counts */
};

struct sampler_stack {
    struct sampler_frame *frames; /* owned */
    size_t count, room;
};

struct sampler_thread {
    struct layout_thread at;
    bool listed;     /* the interpreter still has it */
    bool is_new;     /* it began since the round before its first sample */
    bool has_sample; /* in the chunk `chunk` of its writer */
    clockid_t clock; /* its CPU time */
    struct sampler_state status;
    uint64_t cpu;   /* at the last sample */
    uint64_t seen;  /* its clock when it was read last */
    uint32_t quiet; /* samples like the one before, one after the other */
    bool resting;
    uint64_t rests; /* of shared->rests, those before it rested or that the writer knows of */
    uint64_t chunk;
    enum trace_sample_tag state;
    uint32_t node; /* of the last sample */
    struct sampler_memory memory;
    struct sampler_stack last, now;
    struct sampler_writer writer;
};

/* What all threads share. */
struct sampler_shared {
    struct sampler_known calls, lines;
    struct layout_frame *raw; /* owned: room for max_depth frames */
    size_t max_depth;
    uint64_t previous;      /* ticks of the round before */
    uint64_t taken, missed; /* samples */
    uint64_t rests;         /* rounds in which none of the resting threads was looked at */
    uint64_t rested_until;  /* ticks of the last of them */
    uint64_t seen;          /* sum of what was seen of the clocks of all threads in the list */
    uint64_t unknown;       /* frames of code nobody announced */
    int tasks_fd; /* of /proc/self/task, for a thread that may open files without the program
                     noticing; else -1. It outlasts a change of the root directory */
};

/* `is_new`: it was not there in the round before. */
void sampler_thread_begin(struct sampler_thread *thread, struct sampler_shared *shared,
                          const struct layout_thread *at, bool is_new);

/* Takes a sample. False: the thread is gone, or recording is over. */
bool sampler_thread_sample(struct sampler_thread *thread, struct sampler_shared *shared);

/* If its last samples were all the same it rests from now on: nobody looks at it, and shared->rests
 * counts its samples, until it is looked at again. False: it does not. */
bool sampler_thread_rest(struct sampler_thread *thread, const struct sampler_shared *shared);

/* Reads its clock. */
void sampler_thread_see(struct sampler_thread *thread, struct sampler_shared *shared);

/* Sampling goes on after a pause that ends now. */
void sampler_thread_pause(struct sampler_thread *thread, struct sampler_shared *shared,
                          uint64_t now);

/* What there is, is in the trace, whatever comes; more may follow. */
void sampler_thread_seal(struct sampler_thread *thread, struct sampler_shared *shared);

/* Before sampler_thread_fini(), while others go on: the thread is over. */
void sampler_thread_over(struct sampler_thread *thread, struct sampler_shared *shared);

/* `of_parent`: in a fork's child. */
void sampler_thread_fini(struct sampler_thread *thread, struct sampler_shared *shared,
                         bool of_parent);

void sampler_shared_fini(struct sampler_shared *shared);

#endif
