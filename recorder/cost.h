/* cost.h - what recording this process takes, for the closing lines of `pyrec run -v`.
 *
 * What happens now and then (the beginning, definitions, chunks) is timed as it happens. An event
 * takes less than telling the time twice would: some are recorded into memory at the end, and timed
 * together. What CPython takes to call us is not ours, and cannot be told apart from within.
 */
#ifndef RECORDER_COST_H
#define RECORDER_COST_H

#include <stdint.h>

enum cost_stage { COST_START, COST_DEFINING, COST_WRITING, COST_SAMPLING };

/* A moment in ns: where something begins that cost_end() counts. */
uint64_t cost_begin(void);
void cost_end(enum cost_stage stage, uint64_t begun);

/* What was measured elsewhere. */
void cost_add(enum cost_stage stage, uint64_t ns, uint64_t times);

/* Two lines on standard error: the events, or this process's samples, and its stages. `events` and `bytes` are
 * those of the trace; `processes` have been in it. */
void cost_print(uint64_t events, uint64_t bytes, uint32_t processes);

#endif
