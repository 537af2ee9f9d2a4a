/* sampler_check.h - is this interpreter what we take it for? */
#ifndef RECORDER_SAMPLER_CHECK_H
#define RECORDER_SAMPLER_CHECK_H

#include <stddef.h>

/* Runs a little Python code and looks at its frames as the sampler does. The GIL is held. 0, or -1
 * with a sentence in `why`. */
int sampler_check(char *why, size_t why_size);

#endif
