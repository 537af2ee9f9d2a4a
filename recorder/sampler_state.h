/* sampler_state.h - what a thread does that is not on a processor, as far as the kernel tells.
 *
 * Used by the sampler's own thread alone.
 */
#ifndef RECORDER_SAMPLER_STATE_H
#define RECORDER_SAMPLER_STATE_H

#include <stdbool.h>

#include "formats/trace/trace.h"

struct sampler_state {
    int fd;       /* of a file of the thread in /proc, or -1 */
    bool is_stat; /* it tells less than the other one */
};

/* Is it ready to run, does it wait for the GIL, or for something else? `tasks` is /proc/self/task,
 * or -1; `ran`, what to go by where there is no such folder. */
enum trace_sample_tag sampler_state_read(struct sampler_state *state, int tasks, int native,
                                         bool ran);

/* The processor the thread was on last; -1: not known. */
int sampler_state_processor(int tasks, int native);

#endif
