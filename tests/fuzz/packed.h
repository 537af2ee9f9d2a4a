/* packed.h - traces without their padding, repaired when they are unpacked.
 *
 * A packed trace is the 80 checked bytes of the file header, then chunks: header, payload, nothing
 * between. Unpacking gives each the mark, a fitting capacity and length and right checksums, so
 * that whatever a fuzzer did to the rest is read as if a recorder had written it.
 */
#ifndef TESTS_FUZZ_PACKED_H
#define TESTS_FUZZ_PACKED_H

#include <stddef.h>
#include <stdint.h>

/* A chunk of a packed trace. */
struct packed_chunk {
    size_t at;   /* of its header */
    size_t size; /* of its payload, behind TRACE_CHUNK_PAYLOAD bytes of header */
};

enum { PACKED_CHUNKS_MAX = 256 };

/* Finds at most PACKED_CHUNKS_MAX chunks; what is behind them is left out. */
size_t packed_find(const uint8_t *bytes, size_t size, struct packed_chunk *chunks);

/* The whole trace, to be freed; *unpacked_size bytes. */
uint8_t *packed_unpack(const uint8_t *bytes, size_t size, size_t *unpacked_size);

/* The other way round: what of a trace its chunks hold, to be freed. NULL: it is no trace. */
uint8_t *packed_pack(const uint8_t *trace, size_t size, size_t *packed_size);

#endif
