/* attribute.h - what objects of the program say of themselves, asked without running its code.
 *
 * The GIL is held. No exception is left.
 */
#ifndef RECORDER_ATTRIBUTE_H
#define RECORDER_ATTRIBUTE_H

#include <stddef.h>

#include "recorder/pycompat.h"

/* An attribute of the object's own: none of its class, which may be a property, and nothing if the
 * class has a way of its own to look attributes up. A new reference, or NULL; `object` may be NULL.
 */
PyObject *attribute_plain(PyObject *object, const char *name);

/* The name of a threading.Thread, for the caller to free. NULL: it has none, or is something else.
 */
char *attribute_thread_name(PyObject *thread, size_t *size);

#endif
