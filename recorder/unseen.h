/* unseen.h - Python code that runs where the recorder does not look: in subinterpreters, and to 3.11
 * in threads that C code makes, unless samples are taken.
 *
 * Nothing tells us of them, but the interpreter counts all that it makes. So the counts are read now
 * and then, and what is more than we know of becomes a declared gap.
 */
#ifndef RECORDER_UNSEEN_H
#define RECORDER_UNSEEN_H

#include <stdint.h>

/* Begins to watch, when a recording begins and in a fork's child. */
void unseen_begin(void);

/* How many threads the interpreter has made so far. */
uint64_t unseen_threads_made(void);

/* `count` threads of those that were made are recorded. */
void unseen_expect_threads(uint64_t count);

/* Declares what is new since the last look. Needs no GIL. */
void unseen_look(void);

/* The last look of a process: what was found lasts until now. */
void unseen_end(void);

#endif
