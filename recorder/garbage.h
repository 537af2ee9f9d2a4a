/* garbage.h - the garbage collector's count of new objects, by which it decides when to run.
 *
 * What we make when recording begins must not make it run, then or sooner than it would: the
 * program's objects die, and its finalizers run, in the order they would without us.
 */
#ifndef RECORDER_GARBAGE_H
#define RECORDER_GARBAGE_H

/* From here to garbage_release() nothing that is made brings the collector nearer to its next run.
 * The result is for the release. The GIL is held for both, and all the time between. */
int garbage_hold(void);
void garbage_release(int held);

#endif
