/* sink_bytes.h - what a trace's chunks begin with, as bytes, and how bytes get into a file.
 *
 * For sink.c, which appends to a trace, and sink_start.c, which begins one.
 */
#ifndef RECORDER_SINK_BYTES_H
#define RECORDER_SINK_BYTES_H

#include <stddef.h>
#include <stdint.h>

#include "formats/trace/trace.h"
#include "recorder/sink.h"

/* `size` bytes take so much of whole pages. */
uint64_t sink_bytes_round(uint64_t size);

/* The mark in hexadecimal. */
void sink_bytes_mark(const uint8_t mark[TRACE_MARK_SIZE], char digits[33]);

/* The header of a chunk that is not sealed: TRACE_CHUNK_PAYLOAD bytes at `at`. */
void sink_bytes_header(uint8_t *at, const uint8_t mark[TRACE_MARK_SIZE],
                       const struct sink_chunk *chunk, uint64_t capacity);

/* Makes it that of a sealed one, with `length` bytes of payload. */
void sink_bytes_seal(uint8_t header[TRACE_CHUNK_PAYLOAD], const void *payload, uint64_t length);

/* All of them, at `offset`. 0 or an errno. */
int sink_bytes_write(int fd, const uint8_t *bytes, size_t size, uint64_t offset);

#endif
