/* thread.h - one thread being recorded: its chunk, its clock, its stack of open frames.
 *
 * Each OS thread writes only its own; nothing here needs the GIL or knows Python beyond the frame
 * addresses that the backends use as identities. The stack mirrors the recorded frames of the
 * interpreter: it gives LINE its step, each chunk its stack record, and shows when the thread went
 * on with another stack.
 */
#ifndef RECORDER_THREAD_H
#define RECORDER_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "formats/trace/encode.h"
#include "recorder/sink.h"

/* Behind the end of a chunk any event still fits, with the CPU stamp before it. */
#define THREAD_RESERVE (2 * TRACE_EVENT_SIZE_MAX)

/* An activation: the thread that began it, and its number there. */
#define ACTIVATION_THREAD_SHIFT 40
#define ACTIVATION_NUMBER_MASK ((UINT64_C(1) << ACTIVATION_THREAD_SHIFT) - 1)

struct section;

struct open_frame {
    const void *frame; /* the interpreter's; an identity only, NULL in the sentinel */
    uint64_t activation;
    uint32_t code;
    int32_t line, first_line;
    bool generator; /* may be suspended and come back */
};

struct thread {
    /* What the fast paths touch. */
    uint8_t *at;            /* where the next event goes */
    uint8_t *end;           /* events begin below this; at it, thread_next_chunk() */
    uint64_t last_unit;     /* that of the last event */
    struct open_frame *top; /* == stack: no frame is open */
    unsigned shift;         /* a unit is 2^shift ticks */
    uint64_t events;        /* written by this thread so far */
    uint64_t next;          /* number of the next activation */
    struct open_frame *low; /* lowest top since the chunk began, but never the sentinel */
    struct open_frame *stack_end;
    void *state; /* the PyThreadState, for the backends; valid while a frame is open */

    /* The rest. */
    struct open_frame *stack; /* owned; [0] is a sentinel */
    struct sink_slot slot;
    uint32_t number;
    uint64_t sequence;
    uint64_t cpu_last;       /* the thread's CPU time at the last stamp, ns */
    uint64_t events_counted; /* told to the sink so far */
    bool in_child;           /* belongs to the process before the fork */
    bool is_stale;           /* belongs to a recording that is over; its stack is empty */
    bool is_main;
    bool is_busy; /* its chunk is being changed: none of what a handler of a signal may do */
    char *name;   /* owned; NULL: none */
    size_t name_size;
    pthread_t pthread;
    clockid_t cpu_clock;                  /* this thread's, for the others */
    void *user_trace;                     /* settrace backend: the program's own tracer ... */
    void *user_profile;                   /* ... and profiler */
    bool begins_profile;                  /* ... which sys.setprofile() has just set */
    uint64_t writing_ticks;               /* spent on sealing and writing chunks */
    uint64_t replaced_ticks;              /* since then another tracer is in our place; 0: none */
    struct thread *following, *preceding; /* in the list of all threads */
};

/* NULL until the thread's first event. */
extern __thread struct thread *thread_current __attribute__((tls_model("initial-exec")));

/* Makes this OS thread one of the trace, with a THREAD record. `name` may be NULL. NULL: recording
 * is not possible. */
struct thread *thread_begin(const char *name, size_t name_size, bool is_main);

/* Makes a stale thread, or one that came through a fork, one of the recording of now. Its stack is
 * kept as it is, with new activations. */
void thread_renew(struct thread *t);

/* Calls `visit` with every thread that has been made and has not ended. They cannot end meanwhile,
 * and with the GIL held none of them writes. */
void thread_each(void (*visit)(struct thread *t, void *context), void *context);

/* The thread, of those, that runs as this pthread; NULL: none. */
struct thread *thread_find(pthread_t pthread);

/* The recording is over: seals all threads and makes them stale. The GIL is held. */
void thread_retire_all(void);

/* In a fork's child: only the calling thread is left. */
void thread_forget_others(void);

/* In it threads are visited and end. */
struct section *thread_section(void);

/* CPU time of the thread, whichever it is, ns. */
uint64_t thread_cpu_ns(const struct thread *t);

/* Seals and frees; the thread records no more. Safe in a pthread destructor: plain C only. */
void thread_end(struct thread *t);

/* The process ends, or is replaced: seals what there is, with its STATS record if `stats`. Does
 * nothing in a signal handler that interrupted the thread while its chunk was being changed. */
void thread_finish(struct thread *t, bool stats);

/* If another tracer took our place: the GAP record, until now. */
void thread_write_replaced(struct thread *t);

/* Begins a new chunk whose anchor is `now`, with at least `need` bytes. Also carries a fork's child
 * into its own process. False: recording is over. */
bool thread_next_chunk(struct thread *t, uint64_t now, size_t need);

/* Room for one more frame on the stack. False: out of memory, recording is over. */
bool thread_grow_stack(struct thread *t);

/* The stack record of all frames above the first `kept`, into `at`; returns its end.
 * thread_stack_size(): a bound. */
uint8_t *thread_put_stack(const struct thread *t, size_t kept, uint8_t *at);
size_t thread_stack_size(const struct thread *t, size_t kept);

static inline size_t thread_depth(const struct thread *t)
{
    return (size_t)(t->top - t->stack);
}

/* The top frame is taken off the stack, if there is one. */
void thread_pop_low(struct thread *t);

static inline void thread_pop(struct thread *t)
{
    if (__builtin_expect(t->top > t->low, 1))
        t->top--;
    else
        thread_pop_low(t);
}

/* Frames were taken off the stack in another way. */
void thread_lower(struct thread *t, struct open_frame *top);

/* A number for an activation that begins, or is seen first, now. */
static inline uint64_t thread_new_activation(struct thread *t)
{
    return (uint64_t)t->number << ACTIVATION_THREAD_SHIFT | t->next++;
}

#endif
