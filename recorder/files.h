/* files.h - the files that code came from: path, place in the program, source text.
 *
 * One FILE fact a (path, text). The text is read from disk when the file is first seen, by our own
 * open and read, and only if the interpreter itself would have read it as the source of that code.
 */
#ifndef RECORDER_FILES_H
#define RECORDER_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "formats/trace/trace.h"
#include "recorder/pycompat.h"

struct file_info {
    uint32_t number;
    bool wanted;
};

/* Learns where the standard library lies. The GIL is held, the program has not begun. */
void files_init(void);

/* The text of the main program where it is in no file, for the code called `name` (constant). */
void files_set_command(const char *name, const char *code, size_t size);

/* The same for a program on standard input; only if that is a file, for nothing may be taken from a
 * pipe. */
void files_set_stdin(void);

/* The file of `code`, which is called `filename`; `globals` (may be NULL) are those it runs in.
 * `is_toplevel`: a module's code, which may come with a new text under an old name. Borrowed. NULL:
 * out of memory. */
const struct file_info *files_define(PyCodeObject *code, PyObject *filename, PyObject *globals,
                                     bool is_toplevel);

/* Is it a file of our own package? */
bool files_is_own(PyObject *filename);

/* Would code from this co_filename be recorded? */
bool files_is_wanted(PyObject *filename);

/* The recording is over: no file is in the trace any more. */
void files_forget(void);

/* A str as the trace's UTF-8 (TRACE.md section 1); NUL-terminated, owned by the caller. NULL: not a
 * str, or no memory. */
char *files_text(PyObject *text, size_t *size);

#endif
