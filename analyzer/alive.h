/* alive.h - of processes whose trace tells no end: which still run, on this machine?
 *
 * A process is known by its id, within one name space of ids and one boot of one machine, and by
 * when it began: the next one that gets its id began later. A lock on the trace would not do: a
 * program may close all its files and record on, children share their parent's, and to look whether
 * one is held is to hold it for a moment.
 */
#ifndef ANALYZER_ALIVE_H
#define ANALYZER_ALIVE_H

#include <stdint.h>

struct facts_process;
struct run;

enum alive {
    ALIVE_UNKNOWN, /* recorded elsewhere, or it cannot be looked at */
    ALIVE_RUNNING,
    ALIVE_GONE,
};

/* Looks after all processes of the run that have not ended, as far as their trace tells, and notes
 * what it finds at each. */
void alive_look(struct run *run);

#endif
