/* trace_file.h - a trace on disk: its header, its checked chunks in order, its clock.
 *
 * Opening walks the whole file once (TRACE.md section 3): checks every checksum, steps over damage,
 * drops duplicates, orders what is left. Payloads are read on demand into a buffer of the caller's;
 * the file is never mapped, so it may grow or be cut while it is read. Unsealed chunks, which their
 * writers may be changing, are kept as they were when the walk passed them. A struct trace_file is
 * read-only once open: threads may share it.
 */
#ifndef ANALYZER_TRACE_FILE_H
#define ANALYZER_TRACE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/clock.h"
#include "formats/trace/decode.h"

struct error;

struct trace_chunk {
    uint64_t offset; /* of its payload in the file */
    uint64_t
        size; /* payload bytes that are there (unsealed: up to the end of the capacity or file) */
    uint64_t sequence;
    uint64_t ticks; /* anchor */
    uint64_t events_before;
    uint64_t cpu;
    uint32_t kind;
    uint32_t process, thread;
    bool sealed;
    bool stack_apart; /* its stack record is a STACK chunk */
    uint8_t *kept;    /* payload of an unsealed chunk, owned by the file; NULL: read it */
};

/* A thread with events, or samples: chunks[first .. first + count) in order of sequence. */
struct trace_thread {
    uint32_t process, thread;
    size_t first, count;
};

/* What was wrong with the file. All zero is good. */
struct trace_damage {
    uint64_t bytes;        /* passed over, neither a chunk nor zero */
    uint64_t places;       /* stretches of them */
    uint64_t first_offset; /* where the first one begins */
    uint64_t duplicates;   /* chunks dropped: their like was kept */
    uint64_t unknown;      /* optional chunks of unknown kind or unknown encoding, skipped */
    bool cut;              /* the file ends inside a chunk */
    uint64_t missing; /* or between two: bytes that were there once, as the file header has it */
};

struct trace_file {
    char *path;
    int fd;
    uint64_t size;
    struct trace_header header;
    char mark[2 * TRACE_MARK_SIZE + 1]; /* hexadecimal: the trace's id */
    uint64_t end;  /* where the last chunk ended when it was made; 0: not told */
    uint32_t stop; /* why recording stopped for all processes (a gap reason), 0: it did not */
    uint64_t last_ticks, last_monotonic; /* the last anchor */
    struct clock clock;

    struct trace_chunk
        *chunks; /* kinds and within them (process, thread, sequence, offset) ascending */
    size_t chunk_count;
    struct trace_thread *threads; /* by (process, thread) */
    size_t thread_count;
    struct trace_damage damage;
};

/* Opens and walks the file. NULL with *err set if it is no trace that this version can read. */
struct trace_file *trace_file_open(const char *path, struct error *err);
void trace_file_close(struct trace_file *file);

/* The chunks of one kind: *first .. *first + result. */
size_t trace_file_chunks(const struct trace_file *file, uint32_t kind, size_t *first);

/* The STACK chunk with the stack record of this EVENTS chunk, or NULL. */
const struct trace_chunk *trace_file_stack(const struct trace_file *file,
                                           const struct trace_chunk *chunk);

/* Is the unsealed chunk still unsealed, and the same one? */
bool trace_file_is_unsealed(const struct trace_file *file, const struct trace_chunk *chunk);

/* A growing buffer; begin with all zero. */
struct trace_buffer {
    uint8_t *bytes;
    size_t size; /* of the payload in it */
    size_t room;
};

/* Reads the chunk's payload into `buffer`. 0, or -1 with *err set (an I/O error, or no memory).
 * What is missing at the end because the file was cut meanwhile is zero. */
int trace_file_read(const struct trace_file *file, const struct trace_chunk *chunk,
                    struct trace_buffer *buffer, struct error *err);
void trace_buffer_free(struct trace_buffer *buffer);

#endif
