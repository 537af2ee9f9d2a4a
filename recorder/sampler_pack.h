/* sampler_pack.h - the samples of threads that were soon over, put together.
 *
 * A server may give each request a thread of its own, and a chunk of the file is a page at least.
 * What such a thread leaves is copied into a PACK chunk (TRACE.md section 3), and its page is given
 * to a thread that begins. Whenever the process is killed, it is in one of the two. Used by who may
 * write samples (sampler_writer.h).
 */
#ifndef RECORDER_SAMPLER_PACK_H
#define RECORDER_SAMPLER_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "recorder/sink.h"

/* Takes over the slot, with a finished chunk of `length` bytes. False: it is for the caller to
 * seal. */
bool sampler_pack_put(struct sink_slot *slot, uint64_t length);

/* A slot that was taken over before, as a new chunk. False: there is none. */
bool sampler_pack_take(struct sink_slot *slot, const struct sink_chunk *chunk);

/* Seals what there is; what comes goes into another one. */
void sampler_pack_seal(void);

/* The end: seals what there is, clears the slots that nobody took. With `of_parent`, in a fork's
 * child, all is left as it is. */
void sampler_pack_end(bool of_parent);

#endif
