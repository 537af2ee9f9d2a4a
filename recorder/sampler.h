/* sampler.h - a thread of our own that looks at all others now and then.
 *
 * It never takes the GIL, never stops the program and never follows its pointers: the kernel copies
 * memory for it (sampler_memory.h), and what it copied must make sense or is dropped and counted.
 * It has no signals, a table of open files of its own, and is not there while the process forks, so
 * that nobody counts it.
 */
#ifndef RECORDER_SAMPLER_H
#define RECORDER_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>

/* Prepares and starts sampling this process; the GIL is held. 0, or -1 with a sentence in `why`. */
int sampler_attach(char *why, size_t why_size);

/* A pause, and its end. */
void sampler_suspend(void);
void sampler_resume(void);

/* The end: stops the thread and seals what there is. Needs no GIL; nothing happens if there is
 * nothing to end. */
void sampler_stop(void);

/* It was not the end. Needs no GIL. */
void sampler_restart(void);

/* The end, and all memory is given back. */
void sampler_detach(void);

#endif
