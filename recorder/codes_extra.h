/* codes_extra.h - a pointer of ours to go with each code object.
 *
 * Up to 3.13 it hangs on the code object (co_extra). From 3.14 on programs give functions to other
 * interpreters of theirs (concurrent.interpreters), and CPython refuses those on which anything
 * hangs: there the pointers stand in a table by address, from which a code watcher takes the dead
 * before their addresses come back. All of this under the GIL of the main interpreter.
 */
#ifndef RECORDER_CODES_EXTRA_H
#define RECORDER_CODES_EXTRA_H

#include <stdbool.h>

#include "recorder/pycompat.h"

/* Makes ready. `released` is called with the pointer of each code object that is destroyed. 0, or
 * -1 with a sentence in `why`. Again: nothing. */
int codes_extra_init(void (*released)(void *pointer), char *why, size_t why_size);

/* `pointer` is not NULL. False: no memory. */
bool codes_extra_set(PyCodeObject *code, void *pointer);

#ifdef PYCOMPAT_EXTRA_IN_TABLE

struct codes_extra {
    const PyCodeObject *code; /* NULL: free */
    void *pointer;
};

/* Open addressing, never more than half full: the place after the last one has the first to follow
 * it. */
extern struct codes_extra *codes_extra_table;
extern size_t codes_extra_mask;

static inline size_t codes_extra_place(const PyCodeObject *code)
{
    return (size_t)(((uintptr_t)code >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 32) & codes_extra_mask;
}

/* What was set for `code`, or NULL. */
static inline void *codes_extra_get(const PyCodeObject *code)
{
    size_t i = codes_extra_place(code);

    while (codes_extra_table[i].code != code && codes_extra_table[i].code != NULL)
        i = (i + 1) & codes_extra_mask;
    return codes_extra_table[i].pointer;
}

#else

extern Py_ssize_t codes_extra_index;

static inline void *codes_extra_get(const PyCodeObject *code)
{
    return pycompat_code_extra(code, codes_extra_index);
}

#endif

#endif
