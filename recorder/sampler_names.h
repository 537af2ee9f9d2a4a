/* sampler_names.h - what threads are called, for a sampler that cannot ask.
 *
 * The functions that start threads are replaced, as settrace.c replaces them, by ones that note the
 * name of the threading.Thread beside the thread state's number.
 */
#ifndef RECORDER_SAMPLER_NAMES_H
#define RECORDER_SAMPLER_NAMES_H

#include <stddef.h>
#include <stdint.h>

/* Begins to note names, and notes those of the threads there are. The GIL is held. */
void sampler_names_init(void);

/* Takes the name of the thread state with this number, to be freed by the caller. NULL: none. Needs
 * no GIL. */
char *sampler_names_take(uint64_t id, size_t *size);

/* In a fork's child: whoever held the lock is gone. */
void sampler_names_after_fork(void);

#endif
