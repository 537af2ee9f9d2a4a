/* facts.h - the FACTS chunks of this process: what its events refer to (TRACE.md section 4).
 *
 * Records are published one by one, in place, so that a kill loses none. Any thread may write, with
 * or without the GIL.
 */
#ifndef RECORDER_FACTS_H
#define RECORDER_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/trace/trace.h"

struct section;

/* Before the payload of a record: its kind and its length. */
#define FACT_HEAD 11

/* A record being built, in memory. After a failed allocation it swallows what comes; facts_write()
 * then does nothing. */
struct fact {
    uint8_t *bytes; /* FACT_HEAD bytes of room, then the payload; `small`, or owned */
    size_t size;    /* of the payload */
    size_t capacity;
    bool failed;
    uint8_t small[512];
};

void fact_init(struct fact *fact);
void fact_fini(struct fact *fact);
void fact_put_uint(struct fact *fact, uint64_t value);
void fact_put_string(struct fact *fact, const void *bytes, size_t size);

/* Where the payload goes on, with room for `size` more bytes, or NULL; what is put there counts
 * from fact_end() on, which is told where it ends. */
uint8_t *fact_room(struct fact *fact, size_t size);

static inline void fact_end(struct fact *fact, const uint8_t *end)
{
    fact->size = (size_t)(end - fact->bytes) - FACT_HEAD;
}

/* Writes the record and releases `fact`. False: there was no room, and recording is over; or the
 * caller is a signal handler that interrupted its thread here, and the record is left out. */
bool facts_write(enum trace_fact_kind kind, struct fact *fact);

/* Writes one of the last records of a process, for which each chunk keeps room: small, and written
 * even if the disk is full. */
void facts_write_last(enum trace_fact_kind kind, struct fact *fact);

/* The next number of a code, file or string: one counter serves the three. */
uint32_t facts_next_number(void);
uint32_t facts_peek_number(void);

/* Seals what is there; a later record begins a new chunk. */
void facts_seal(void);

/* The recording is over, all is sealed: the next one begins from number 1. */
void facts_restart(void);

/* In it they are written. */
struct section *facts_section(void);

/* In a fork's child: forget the parent's chunk without touching it. */
void facts_forget(void);

#endif
