/* garbage.h - the garbage collector's count of new objects, by which it decides when to run.
 *
 * What we make when recording begins must not make it run sooner: the program's objects die, and
 * its finalizers run, in the order they would without us.
 */
#ifndef RECORDER_GARBAGE_H
#define RECORDER_GARBAGE_H

/* The count now, for garbage_set_count(). The GIL is held, for both. */
int garbage_count(void);
void garbage_set_count(int count);

#endif
