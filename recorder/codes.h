/* codes.h - which code objects are in the trace, and as what.
 *
 * A code object is known by what goes with it (codes_extra.h), never by its address or its
 * bytecode: addresses come back, twins exist. At its first sight its CODE fact is written, with its
 * executable lines, and with it those of the code nested in it, so that what never ran is known
 * too; and its FILE fact with the source text.
 */
#ifndef RECORDER_CODES_H
#define RECORDER_CODES_H

#include <stdbool.h>
#include <stdint.h>

#include "recorder/codes_extra.h"
#include "recorder/pycompat.h"

struct code_info {
    uint64_t operand; /* the number as a varint, zeros behind it */
    uint32_t number;  /* in the trace; 0 if not wanted */
    int32_t first_line;
    uint8_t operand_size;        /* of the varint */
    bool wanted;                 /* false: excluded, or part of pyrec */
    bool generator;              /* its frames may be suspended */
    bool is_stale;               /* of a recording that is over; then not wanted either */
    uint32_t sampled;            /* its place with the sampler (sampler_codes.h), 0: none */
    struct code_info *next_free; /* of those that hang on no code object */
};

/* Called with `sampled` of a code object that is being destroyed, if that is not 0; the GIL is
 * held. NULL: nobody asks. */
extern void (*codes_released)(uint32_t sampled);

/* Gets the place on code objects. 0, or -1 with a sentence in `why`. */
int codes_init(char *why, size_t why_size);

/* Defines `code`, seen in `frame` (NULL: not running yet). Never NULL: out of memory counts as not
 * wanted. */
const struct code_info *codes_define(PyCodeObject *code, const pycompat_frame *frame);

/* The same, by the globals that the code runs, or will run, in; NULL: not known. */
const struct code_info *codes_define_in(PyCodeObject *code, PyObject *globals);

static inline const struct code_info *codes_info(PyCodeObject *code, const pycompat_frame *frame)
{
    const struct code_info *info = codes_extra_get(code);

    if (__builtin_expect(info != NULL && (info->wanted || !info->is_stale), 1))
        return info;
    return codes_define(code, frame);
}

/* From now on `hook`, if not NULL, is asked for the file name of each code object that is defined
 * while it runs: it gets the frame and returns a str. A new reference is kept. */
void codes_set_filename_hook(PyObject *hook);

/* Is the code wanted, judged by its file alone? Defines nothing. With a hook everything may be. */
bool codes_is_wanted(PyCodeObject *code);

/* The recording is over: no code, no string is in the trace any more. */
void codes_forget(void);

/* The number of a text in the trace (names of exception types, C functions, marks); the same text
 * keeps its number. */
uint32_t codes_string(const char *text, size_t size);

/* The lines that can get a line event, ascending, without duplicates; borrowed until the next call.
 */
const int *codes_lines(PyCodeObject *code, size_t *count);

/* The line of the instruction at `offset` bytes, by a copy of the code's line table; 0: it has
 * none.
 */
int codes_line_at(const unsigned char *table, size_t size, int first_line, int offset);

#endif
