/* texts.h - source text that is in no file of its own: what the program itself keeps of it.
 *
 * linecache has the cells of notebooks, templates and generated methods; doctest its examples; an
 * imported zip is known to zipimport. All of that is looked up where it lies: nothing is imported,
 * no code of Python runs, and nothing changes. The GIL is held.
 */
#ifndef RECORDER_TEXTS_H
#define RECORDER_TEXTS_H

#include "recorder/pycompat.h"

/* True: leave out what might let go of the GIL for a moment; it can be asked for again. */
extern bool texts_hold_gil;

/* The text of the code whose co_filename is `filename`: `room` bytes, then `*size` bytes of text,
 * which the caller frees. NULL: it is not known. An exception may be set. */
uint8_t *texts_find(PyObject *filename, size_t room, size_t *size);

#endif
