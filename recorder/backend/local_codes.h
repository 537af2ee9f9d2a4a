/* local_codes.h - the code objects that have events of their own (sys.monitoring, with filters).
 *
 * A set of addresses, each removed when its code dies, so that their events can be taken off and
 * given back in a pause. The GIL guards it.
 */
#ifndef RECORDER_BACKEND_LOCAL_CODES_H
#define RECORDER_BACKEND_LOCAL_CODES_H

#include "recorder/pycompat.h"

/* False: out of memory. */
bool local_codes_add(PyCodeObject *code);
void local_codes_remove(const PyCodeObject *code);

/* Calls `visit` with each, which may run other code meanwhile. False: out of memory, none was
 * visited. */
bool local_codes_each(void (*visit)(PyCodeObject *code));

void local_codes_clear(void);

#endif
