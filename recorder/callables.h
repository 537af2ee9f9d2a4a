/* callables.h - built-in functions and methods of extensions, as callees (--c-calls).
 *
 * They are named as cProfile names them: `<built-in method builtins.len>`, `<method 'append' of
 * 'list' objects>`.
 */
#ifndef RECORDER_CALLABLES_H
#define RECORDER_CALLABLES_H

#include <stdbool.h>
#include <stdint.h>

#include "recorder/pycompat.h"

/* The string number of the callable's name; 0: not one that cProfile would count (a class, a Python
 * function, ...). */
uint32_t callables_number(PyObject *callable);

/* The recording is over: no name is in the trace any more. */
void callables_forget(void);

#endif
