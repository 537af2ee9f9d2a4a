/* section.h - what one thread at a time does, and no signal handler that interrupts it there.
 *
 * A handler may end the process, fork, or wait for a child, all of which is recorded: it must not
 * wait for the thread that it interrupted. A mutex cannot tell (not even one that checks for
 * errors: there is a moment between taking it and noting who has it), so each thread notes what it
 * is about to enter.
 */
#ifndef RECORDER_SECTION_H
#define RECORDER_SECTION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum section_bit { SECTION_THREADS = 1, SECTION_FACTS = 2, SECTION_SAMPLER = 4 };

struct section {
    pthread_mutex_t mutex;
    enum section_bit bit;
    bool is_forking; /* entered for a fork's sake */
};

#define SECTION_OF(bit)                                                                            \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, (bit), false                                                    \
    }

/* Those that the calling thread is in. */
extern __thread unsigned section_entered __attribute__((tls_model("initial-exec")));

/* False: this thread is in it already. */
static inline bool section_enter(struct section *section)
{
    if (section_entered & section->bit)
        return false;
    section_entered |= section->bit;
    atomic_signal_fence(memory_order_seq_cst);
    pthread_mutex_lock(&section->mutex);
    return true;
}

static inline void section_leave(struct section *section)
{
    pthread_mutex_unlock(&section->mutex);
    atomic_signal_fence(memory_order_seq_cst);
    section_entered &= ~(unsigned)section->bit;
}

/* Around a fork: nobody else is in it, so that the child finds everything in order. */
static inline void section_before_fork(struct section *section)
{
    if (section_enter(section))
        section->is_forking = true;
}

static inline void section_after_fork(struct section *section)
{
    if (!section->is_forking)
        return;
    section->is_forking = false;
    section_leave(section);
}

/* In the child nobody is in it, be it that a handler forked. */
static inline void section_after_fork_in_child(struct section *section)
{
    section->mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    section->is_forking = false;
    section_entered &= ~(unsigned)section->bit;
}

#endif
