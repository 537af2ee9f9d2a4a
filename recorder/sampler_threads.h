/* sampler_threads.h - all the threads being sampled: which there are, and one round of looking.
 *
 * Those that wait for something are not looked at one by one in each round: as long as the clock of
 * the whole process shows that none of them has run, each is where it was.
 *
 * Used by the sampler's own thread; when it has ended, by whoever waited for it.
 */
#ifndef RECORDER_SAMPLER_THREADS_H
#define RECORDER_SAMPLER_THREADS_H

#include <stdbool.h>
#include <stdint.h>

#include "recorder/sampler_thread.h"

/* Sampling begins now: the threads that there are run already. */
void sampler_threads_begin(struct sampler_shared *shared);

/* Takes a sample of each thread. */
void sampler_threads_look(struct sampler_shared *shared);

/* Sampling goes on after a pause that ends now. */
void sampler_threads_pause(struct sampler_shared *shared, uint64_t now);

/* What there is, is in the trace, whatever comes; more may follow. */
void sampler_threads_seal(struct sampler_shared *shared);

/* The table of open files in which theirs were is gone. */
void sampler_threads_forget_files(void);

/* There are none; `of_parent`: in a fork's child. */
void sampler_threads_forget(struct sampler_shared *shared, bool of_parent);

#endif
