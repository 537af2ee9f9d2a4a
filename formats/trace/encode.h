/* encode.h - bytes into a trace; the twin of decode.h.
 *
 * Inline, and nothing in here can fail: the caller has made room (TRACE_EVENT_SIZE_MAX bytes, or
 * trace_varint_size() for records). An event is published operands first, tag last, so that
 * whatever kills the program leaves it complete or absent.
 */
#ifndef FORMATS_TRACE_ENCODE_H
#define FORMATS_TRACE_ENCODE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "formats/trace/trace.h"

#define TRACE_VARINT_SIZE_MAX 10
#define TRACE_EVENT_SIZE_MAX 64 /* any event without its stack record */

static inline void trace_put_u32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static inline void trace_put_u64(uint8_t *at, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static inline uint64_t trace_zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (0 - (uint64_t)(value < 0));
}

/* Returns the place behind what was written, as all put functions do. */
static inline uint8_t *trace_put_varint(uint8_t *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

static inline uint8_t *trace_put_svarint(uint8_t *at, int64_t value)
{
    return trace_put_varint(at, trace_zigzag(value));
}

static inline uint8_t *trace_put_string(uint8_t *at, const void *bytes, size_t size)
{
    at = trace_put_varint(at, size);
    if (size > 0) /* `bytes` may be NULL then */
        memcpy(at, bytes, size);
    return at + size;
}

/* Makes what was written behind `at` visible by writing its first byte. */
static inline void trace_publish(uint8_t *at, uint8_t tag)
{
    __atomic_store_n(at, tag, __ATOMIC_RELEASE);
}

/* The events. `units` is the time since the event before. */

static inline uint8_t *trace_put_line(uint8_t *at, uint64_t units, int64_t step)
{
    uint64_t near = (uint64_t)step + TRACE_SHORT_LINE_BIAS;
    uint64_t wide = (uint64_t)step + TRACE_SHORT_LINE_WIDE_BIAS;
    uint8_t *end;

    if (near < 8 && units < TRACE_SHORT_TIME) {
        trace_publish(at, (uint8_t)(TRACE_SHORT_LINE | near << 4 | units));
        return at + 1;
    }
    if (wide < 64 && units < 256) {
        at[1] = (uint8_t)units;
        trace_publish(at, (uint8_t)(TRACE_SHORT_LINE_WIDE | wide));
        return at + 2;
    }
    end = trace_put_svarint(trace_put_varint(at + 1, units), step);
    trace_publish(at, TRACE_TAG_LINE);
    return end;
}

/* RETURN, YIELD, UNWIND, C_RETURN: `form` is the short form's bits, 0 if there is none. */
static inline uint8_t *trace_put_plain(uint8_t *at, enum trace_tag tag, uint8_t form,
                                       uint64_t units)
{
    uint8_t *end;

    if (form != 0 && units < TRACE_SHORT_TIME) {
        trace_publish(at, (uint8_t)(form | units));
        return at + 1;
    }
    end = trace_put_varint(at + 1, units);
    trace_publish(at, (uint8_t)tag);
    return end;
}

/* CALL, RESUME, RAISE, C_CALL, MARK. */
static inline uint8_t *trace_put_operand(uint8_t *at, enum trace_tag tag, uint8_t form,
                                         uint64_t units, uint64_t operand)
{
    uint8_t *end;

    if (form != 0 && units < TRACE_SHORT_TIME) {
        end = trace_put_varint(at + 1, operand);
        trace_publish(at, (uint8_t)(form | units));
        return end;
    }
    end = trace_put_varint(trace_put_varint(at + 1, units), operand);
    trace_publish(at, (uint8_t)tag);
    return end;
}

static inline uint8_t *trace_put_cpu(uint8_t *at, uint64_t ns)
{
    uint8_t *end = trace_put_varint(at + 1, ns);

    trace_publish(at, TRACE_TAG_CPU);
    return end;
}

#endif
