/* sampler_layout.h - where an interpreter keeps its threads and frames, version by version.
 *
 * The offsets are those that the interpreter itself names, from 3.13 on, else those of the headers
 * the recorder was built with; sampler_check() walks frames that are known, by the same code,
 * before the first sample is taken.
 */
#ifndef RECORDER_SAMPLER_LAYOUT_H
#define RECORDER_SAMPLER_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recorder/sampler_memory.h"

/* A thread of the interpreter, as it was a moment ago. */
struct layout_thread {
    uintptr_t state; /* its PyThreadState */
    uintptr_t next;
    uint64_t id; /* never given twice */
    int native;  /* what gettid() says in it; 0: not started yet */
};

/* A running frame. */
struct layout_frame {
    uintptr_t address;
    uintptr_t code;        /* its code object's address; 0: no Python frame */
    uintptr_t instruction; /* absolute from 3.11, else bytes from the start; see layout_offset() */
    bool owned;            /* by a generator */
};

/* What is known of the main interpreter; the GIL is held. 0, or -1 with a sentence in `why`. */
int layout_init(char *why, size_t why_size);

/* The newest thread and the number the next one gets. False: they cannot be read. */
bool layout_newest(uintptr_t *state, uint64_t *next_id);

/* The thread behind `state`. False: it is not there any more. */
bool layout_read_thread(uintptr_t state, struct layout_thread *thread);

/* Is `address` in the lock that threads wait on for the GIL? */
bool layout_is_gil(uintptr_t address);

/* Frames of this code are none of Python's: one code, the interpreter's own. */
void layout_leave_out(uintptr_t code);

/* The frames of a thread, innermost first, after sampler_memory_refresh(): at most `room` of them,
 * frames that are none of Python's among them. How many, or -1: the chain cannot be followed, or
 * the thread is another one now. *more: there were more. */
int layout_walk(struct sampler_memory *memory, uintptr_t state, uint64_t id,
                struct layout_frame *frames, size_t room, bool *more);

#endif
