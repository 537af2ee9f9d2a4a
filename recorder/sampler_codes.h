/* sampler_codes.h - which code object is at an address, asked without the GIL.
 *
 * Addresses of code objects come back within one or two allocations. So each code object that is
 * announced gets an entry with a birth number, and loses it when it is destroyed (co_extra tells);
 * what was read from the interpreter while the generation was `g` means the code of an entry only
 * if that was born at or before g and still lives after the reading: sampler_codes_hold().
 *
 * Announcing and destroying happen under the GIL; looking up and holding in the sampler's thread.
 */
#ifndef RECORDER_SAMPLER_CODES_H
#define RECORDER_SAMPLER_CODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recorder/pycompat.h"

struct sampler_code {
    uint64_t birth;            /* identifies it for ever; 0: never used */
    uintptr_t address;         /* of the code object */
    uintptr_t start;           /* of its instructions (from 3.11), else 0 */
    uintptr_t table;           /* of its line table's bytes */
    uint32_t table_size, size; /* bytes; `size` of the instructions */
    uint32_t prologue;         /* a frame before this offset has not begun (from 3.11) */
    uint32_t number;           /* in the trace; 0: not wanted */
    int32_t first_line;
    uint32_t alive;
};

/* Gives all code that can be reached now its entry, and what is executed from now on: the GIL is
 * held. 0, or -1 with a sentence in `why`. */
int sampler_codes_init(char *why, size_t why_size);

/* Gives `code`, and all code nested in it, an entry. `globals`: those it runs in, or NULL. */
void sampler_codes_announce(PyCodeObject *code, PyObject *globals);

/* There is code that nobody announced: when the interpreter next raises an audit event, all code
 * that is running is announced. Needs no GIL. */
void sampler_codes_look_around(void);

/* Around each round of the sampler: between them no table it looks into is freed. */
void sampler_codes_enter(void);
void sampler_codes_leave(void);

/* The generation now: raised by each birth. */
uint64_t sampler_codes_generation(void);

/* The entry of the code object at `address`, copied. NULL: none. */
const struct sampler_code *sampler_codes_find(uintptr_t address, struct sampler_code *copy);

/* Copies an entry. False: it is being given to another code. */
bool sampler_codes_copy(const struct sampler_code *entry, struct sampler_code *copy);

/* Is this entry still the one that was born as `birth`, by generation `g`? */
static inline bool sampler_codes_hold(const struct sampler_code *entry, uint64_t birth, uint64_t g)
{
    return birth <= g && __atomic_load_n(&entry->birth, __ATOMIC_ACQUIRE) == birth &&
           __atomic_load_n(&entry->alive, __ATOMIC_ACQUIRE) != 0;
}

/* The line of the instruction at `offset`; as the interpreter has it for tracebacks. False: its
 * table cannot be read (any more). */
bool sampler_codes_line(const struct sampler_code *code, int offset, int32_t *line);

#endif
