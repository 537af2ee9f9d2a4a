/* sampler_memory.h - copies of the interpreter's memory, taken while it runs.
 *
 * The sampler never follows a pointer of the interpreter: what it points to may be gone. The kernel
 * copies for it (process_vm_readv on our own process, else /proc/self/mem), and says so where
 * nothing is mapped. A call costs much and a piece little, so a struct sampler_memory remembers
 * which pieces were needed last time and copies all of them at once, first.
 */
#ifndef RECORDER_SAMPLER_MEMORY_H
#define RECORDER_SAMPLER_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sampler_piece {
    uintptr_t address;
    size_t size;
    size_t offset; /* of the copy */
    bool used;     /* since the last refresh */
};

struct sampler_memory {
    struct sampler_piece *pieces; /* owned */
    size_t count, room;
    size_t next; /* where the piece asked for next probably is */
};

/* Chooses how the memory of this process is read. 0, or -1 with a sentence in `why`: nothing works here. */
int sampler_memory_init(char *why, size_t why_size);

/* For a thread that begins: opens what is needed, which is the memory of this process and not of the
 * one it was forked from. False: it cannot. The end of that. */
bool sampler_memory_open(void);
void sampler_memory_close(void);

/* Copies `size` bytes. False: not all of them are mapped, or copying is forbidden. */
bool sampler_memory_read(uintptr_t address, void *copy, size_t size);

/* Has everything that worked been forbidden since? */
bool sampler_memory_is_forbidden(void);

/* Copies anew what was used since the last refresh, and forgets the rest, and all copies that other
 * ones have made. */
void sampler_memory_refresh(struct sampler_memory *memory);

/* The copy of `size` bytes at `address`, valid until the next call of sampler_memory_...(); copied
 * now if it was not yet, with all of [from, from + span) around it if that can be had. NULL: not
 * mapped, or no memory. */
const void *sampler_memory_get(struct sampler_memory *memory, uintptr_t address, size_t size,
                               uintptr_t from, size_t span);

void sampler_memory_fini(struct sampler_memory *memory);

/* Frees what all share. */
void sampler_memory_done(void);

#endif
