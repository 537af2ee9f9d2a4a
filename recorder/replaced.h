/* replaced.h - built-in functions of the interpreter that run ours in their place.
 *
 * The function object stays the same, so that nobody sees a difference. The GIL is held.
 */
#ifndef RECORDER_REPLACED_H
#define RECORDER_REPLACED_H

#include "recorder/pycompat.h"

struct replaced {
    PyMethodDef *method;
    PyCFunction real; /* NULL: not replaced */
    PyCFunction ours;
};

/* What `name` is in a module that has been imported already. Borrowed; NULL: nothing. */
PyObject *replaced_find(const char *module, const char *name);

/* Puts `ours` behind the built-in function `object`, if it is not there yet. False: it is no such
 * function. */
bool replaced_put(struct replaced *replaced, PyObject *object, PyCFunction ours);

/* Puts the real one back, unless somebody has put his own in front of ours since. */
void replaced_restore(struct replaced *replaced);

#endif
