/* sample_cpu.h - which sample takes a thread's CPU time.
 *
 * Time on a processor is that of the lines that were seen there: what was used until a sample that
 * finds the thread waiting goes to the next one that finds it running.
 */
#ifndef ANALYZER_SAMPLE_CPU_H
#define ANALYZER_SAMPLE_CPU_H

#include <stdint.h>

#include "analyzer/sample_sums.h"

/* *pending: ns that no sample has taken yet. A sample tells of `ns` more. */
static inline void sample_cpu_add(int64_t *pending, uint64_t ns)
{
    if (ns > INT64_MAX / 4)
        ns = INT64_MAX / 4;
    if (*pending <= INT64_MAX / 4)
        *pending += (int64_t)ns;
}

/* What a sample takes that stands for `passed` ns. */
static inline int64_t sample_cpu_take(int64_t *pending, enum sample_state state, int64_t passed)
{
    int64_t cpu = state == SAMPLE_RUNNING ? *pending : 0;

    if (cpu > passed)
        cpu = passed;
    *pending -= cpu;
    return cpu;
}

#endif
