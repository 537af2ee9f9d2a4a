/* handover.h - functions that a program hands over to interpreters of its own.
 *
 * CPython 3.13 refuses code objects on which anything hangs, and those that are monitored: both are
 * our doing. There the functions of _interpreters that take code get a copy without. Later versions
 * look at the code alone, earlier ones take text only.
 */
#ifndef RECORDER_HANDOVER_H
#define RECORDER_HANDOVER_H

#include <stdbool.h>

#include "recorder/pycompat.h"

#ifdef PYCOMPAT_ONLY_PLAIN_CODE

/* A copy is being made: code that nobody will run, and that must stay as it is. */
extern bool handover_copying;

/* From now on, and until then. The GIL is held. */
void handover_attach(void);
void handover_detach(void);

#else

#define handover_copying false

static inline void handover_attach(void)
{
}

static inline void handover_detach(void)
{
}

#endif

#endif
