/* decode.h - bytes to events and facts; the twin of encode.h.
 *
 * Pure functions over memory that the caller owns: no I/O, no allocation, no globals, any bytes
 * allowed. A cursor never reads outside its bytes, and its first failure sticks: every later read
 * yields zero and moves nothing, so callers test `status` once an event or record.
 */
#ifndef FORMATS_TRACE_DECODE_H
#define FORMATS_TRACE_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/trace/trace.h"

enum trace_status {
    TRACE_OK,
    TRACE_AT_END,     /* no bytes left, or the END tag, between two events or records */
    TRACE_CUT,        /* no bytes left inside one */
    TRACE_BAD_TAG,    /* a first byte this version does not know */
    TRACE_BAD_VARINT, /* more than 64 bits */
};

struct trace_cursor {
    const uint8_t *at;  /* borrowed; after a failure the start of the event or record at fault */
    const uint8_t *end; /* borrowed */
    enum trace_status status;
};

/* Bytes of a string or record inside the payload: not NUL-terminated, may hold NULs, borrowed. */
struct trace_bytes {
    const uint8_t *at;
    size_t size;
};

struct trace_cursor trace_cursor_over(const void *bytes, size_t size);

static inline uint16_t trace_get_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static inline uint32_t trace_get_u32(const uint8_t *at)
{
    return (uint32_t)trace_get_u16(at) | (uint32_t)trace_get_u16(at + 2) << 16;
}

static inline uint64_t trace_get_u64(const uint8_t *at)
{
    return (uint64_t)trace_get_u32(at) | (uint64_t)trace_get_u32(at + 4) << 32;
}

static inline int64_t trace_unzigzag(uint64_t n)
{
    return (int64_t)(n >> 1 ^ (0 - (n & 1)));
}

uint64_t trace_read_varint(struct trace_cursor *cur);
int64_t trace_read_svarint(struct trace_cursor *cur);
struct trace_bytes trace_read_bytes(struct trace_cursor *cur, uint64_t size);
struct trace_bytes trace_read_string(struct trace_cursor *cur);

/* --- Stacks (TRACE.md section 5) --- */

/* The head of a stack record; `depth - kept` frames follow it. */
struct trace_stack {
    uint64_t next; /* number of the next activation of this thread */
    uint64_t depth;
    uint64_t kept;     /* never above depth */
    const uint8_t *at; /* the frames' bytes, checked to be whole; borrowed */
    const uint8_t *end;
};

struct trace_frame {
    uint64_t code;
    int64_t line_step;   /* current line less the code's first line */
    uint64_t thread;     /* who began the activation; 0: this thread */
    uint64_t activation; /* its number there */
};

/* Reads a whole stack record and steps over its frames. False on failure. */
bool trace_read_stack(struct trace_cursor *cur, struct trace_stack *stack);

/* Takes the next frame, outermost first. False when there are no more. */
bool trace_next_frame(struct trace_stack *stack, struct trace_frame *frame);

/* --- Events (TRACE.md section 6) --- */

/* One event. Which fields mean something depends on the tag; the others are zero. Short forms have
 * the tag of their long form. */
struct trace_event {
    enum trace_tag tag;
    uint64_t time;       /* units since the event before; GAP: until the gap begins; CPU: nothing */
    uint64_t code;       /* CALL, CONTINUE */
    int64_t line_step;   /* LINE: less the old line; CONTINUE: less the code's first line */
    uint64_t string;     /* RAISE, C_CALL, MARK */
    uint64_t back;       /* RESUME, CONTINUE of this thread: next - number */
    uint64_t thread;     /* CONTINUE of another thread's activation: that thread, else 0 */
    uint64_t activation; /* and its number there */
    uint64_t cpu;        /* CPU: ns */
    uint64_t reason;     /* GAP */
    uint64_t gap;        /* GAP: units that were not recorded */
    uint64_t kind;       /* EXTENSION */
    struct trace_bytes bytes; /* EXTENSION */
    struct trace_stack stack; /* SWITCH, GAP */
};

/* Decodes the next event into *ev. False at the end or on failure: which one is in cur->status, and
 * cur->at is then where that event would have begun. */
bool trace_next_event(struct trace_cursor *cur, struct trace_event *ev);

/* "LINE" and so on, or NULL for a tag this version does not know. */
const char *trace_tag_name(unsigned tag);

/* "paused" and so on (section 6.6), or "unknown". */
const char *trace_gap_name(uint64_t reason);

/* --- Facts (TRACE.md section 4) --- */

/* A record of a RUN or FACTS payload: its kind and a cursor over its fields alone. */
struct trace_record {
    unsigned kind;
    struct trace_cursor fields;
};

/* Takes the next record. False at the end or on failure, as trace_next_event(). */
bool trace_next_record(struct trace_cursor *cur, struct trace_record *record);

/* --- Headers (TRACE.md sections 2 and 3) --- */

struct trace_header {
    unsigned write_version, read_version;
    uint32_t crc; /* over bytes 16 to 79; for the reader to check */
    uint8_t mark[TRACE_MARK_SIZE];
    uint64_t realtime, monotonic, ticks, tick_rate;
    uint32_t clock, tick_shift;
};

/* Reads the TRACE_HEADER_CHECKED_END bytes at `page`. False if they do not begin with the magic. */
bool trace_read_header(const uint8_t *page, struct trace_header *header);

struct trace_chunk_header {
    uint32_t crc, kind, flags, process, thread, encoding;
    uint64_t sequence, capacity, length, ticks, monotonic, events_before, cpu;
};

/* Reads the TRACE_CHUNK_PAYLOAD bytes at `at`. False if they do not begin with the mark. */
bool trace_read_chunk_header(const uint8_t *at, const uint8_t mark[TRACE_MARK_SIZE],
                             struct trace_chunk_header *header);

/* Reads what stands before the records of a chunk in a PACK chunk. `header` is the PACK chunk's,
 * and becomes that chunk's, whose records are the next `length` bytes. False: there is none, or
 * none that makes sense. */
bool trace_read_packed_header(struct trace_cursor *cur, struct trace_chunk_header *header);

#endif
