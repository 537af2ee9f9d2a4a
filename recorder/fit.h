/* fit.h - does the interpreter fit the headers that the recorder was built with?
 *
 * A recorder serves all patch releases of its minor version: they are replaced under it. What it
 * reads in place has stayed where it was within every version so far; an interpreter that says
 * where its members stand, as they do from 3.13 on, is asked.
 */
#ifndef RECORDER_FIT_H
#define RECORDER_FIT_H

#include <stddef.h>

/* 0, or -1 with a sentence in `why`. */
int fit_check(char *why, size_t why_size);

#endif
