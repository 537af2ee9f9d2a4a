/* trace_builder.h - traces for tests, byte by byte: clock 0, a tick is a ns. Header-only: a test
 * includes it and nothing else needs it. */
#ifndef TESTS_UNIT_TRACE_BUILDER_H
#define TESTS_UNIT_TRACE_BUILDER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats/trace/crc32c.h"
#include "formats/trace/trace.h"

#define BUILDER_START 1000 /* ticks and ns when the run began */
#define MAYBE __attribute__((unused)) static

/* A growing row of bytes; begin with all zero. */
struct bytes {
    uint8_t *at;
    size_t size, room;
};

MAYBE void put(struct bytes *out, const void *bytes, size_t size)
{
    if (size > out->room - out->size) {
        out->room = 2 * (out->room + size) + 64;
        out->at = realloc(out->at, out->room);
        if (!out->at)
            abort();
    }
    if (size)
        memcpy(out->at + out->size, bytes, size);
    out->size += size;
}

MAYBE void put_byte(struct bytes *out, unsigned byte)
{
    uint8_t value = (uint8_t)byte;

    put(out, &value, 1);
}

MAYBE void put_fixed(struct bytes *out, uint64_t value, int size)
{
    for (int i = 0; i < size; i++)
        put_byte(out, (unsigned)(value >> 8 * i) & 255);
}

MAYBE void put_varint(struct bytes *out, uint64_t value)
{
    for (; value > 127; value >>= 7)
        put_byte(out, (unsigned)(value & 127) | 128);
    put_byte(out, (unsigned)value);
}

MAYBE void put_svarint(struct bytes *out, int64_t value)
{
    put_varint(out, (uint64_t)value << 1 ^ (uint64_t)(value >> 63));
}

MAYBE void put_string(struct bytes *out, const char *text)
{
    put_varint(out, strlen(text));
    put(out, text, strlen(text));
}

MAYBE void put_record(struct bytes *out, unsigned kind, struct bytes *fields)
{
    put_byte(out, kind);
    put_varint(out, fields->size);
    put(out, fields->at, fields->size);
    fields->size = 0;
}

/* --- The file --- */

MAYBE void build_header(struct bytes *out, unsigned clock, unsigned shift, uint64_t rate)
{
    struct bytes checked = {0};

    for (unsigned i = 0; i < TRACE_MARK_SIZE; i++)
        put_byte(&checked, 0xa0 + i);
    put_fixed(&checked, 1700000000000000000u, 8);
    put_fixed(&checked, BUILDER_START, 8);
    put_fixed(&checked, BUILDER_START, 8);
    put_fixed(&checked, rate, 8);
    put_fixed(&checked, clock, 4);
    put_fixed(&checked, shift, 4);
    put_fixed(&checked, 0, 8);
    put(out, TRACE_MAGIC, TRACE_MAGIC_SIZE);
    put_fixed(out, TRACE_WRITE_VERSION, 2);
    put_fixed(out, TRACE_READ_VERSION, 2);
    put_fixed(out, crc32c(0, checked.at, checked.size), 4);
    put(out, checked.at, checked.size);
    while (out->size < TRACE_PAGE)
        put_byte(out, 0);
    free(checked.at);
}

/* What stands in a chunk's header; the rest follows from the payload. */
struct build_chunk {
    unsigned kind, process, thread;
    uint64_t sequence, ticks, events_before, cpu;
    bool unsealed, apart;
};

MAYBE void build_chunk(struct bytes *out, struct build_chunk chunk, struct bytes *payload)
{
    struct bytes head = {0};
    size_t start = out->size,
           capacity = (TRACE_CHUNK_PAYLOAD + payload->size + TRACE_PAGE) / TRACE_PAGE * TRACE_PAGE;

    put_fixed(&head, chunk.kind, 4);
    put_fixed(&head,
              (chunk.unsealed ? 0 : TRACE_FLAG_SEALED) | (chunk.apart ? TRACE_FLAG_STACK_APART : 0),
              4);
    put_fixed(&head, chunk.process, 4);
    put_fixed(&head, chunk.thread, 4);
    put_fixed(&head, TRACE_ENCODING_RAW, 4);
    put_fixed(&head, chunk.sequence, 8);
    put_fixed(&head, capacity, 8);
    put_fixed(&head, chunk.unsealed ? 0 : payload->size, 8);
    put_fixed(&head, chunk.ticks, 8);
    put_fixed(&head, chunk.ticks, 8);
    put_fixed(&head, chunk.events_before, 8);
    put_fixed(&head, chunk.cpu, 8);
    uint32_t crc = crc32c(crc32c(0, head.at, head.size), payload->at, payload->size);
    for (unsigned i = 0; i < TRACE_MARK_SIZE; i++)
        put_byte(out, 0xa0 + i);
    put_fixed(out, chunk.unsealed ? 0 : crc, 4);
    put(out, head.at, head.size);
    put(out, payload->at, payload->size);
    while (out->size < start + capacity)
        put_byte(out, 0);
    free(head.at);
    payload->size = 0;
}

/* --- Facts --- */

MAYBE void fact_setting(struct bytes *out, const char *key, const char *value)
{
    struct bytes fields = {0};

    put_string(&fields, key);
    put_string(&fields, value);
    put_record(out, TRACE_FACT_SETTING, &fields);
    free(fields.at);
}

MAYBE void fact_process(struct bytes *out, unsigned parent, unsigned how, unsigned pid,
                        unsigned base)
{
    struct bytes fields = {0};

    put_varint(&fields, parent);
    put_varint(&fields, how);
    put_varint(&fields, pid);
    put_varint(&fields, base);
    put_varint(&fields, BUILDER_START);
    put_varint(&fields, BUILDER_START);
    put_string(&fields, "python3");
    put_string(&fields, "3.11.2");
    put_string(&fields, "/p");
    put_varint(&fields, 15);
    put(&fields, "python3\0app.py", 15);
    put_record(out, TRACE_FACT_PROCESS, &fields);
    free(fields.at);
}

MAYBE void fact_file(struct bytes *out, unsigned number, const char *path)
{
    struct bytes fields = {0};

    put_varint(&fields, number);
    put_string(&fields, path);
    put_string(&fields, "");
    put_varint(&fields, 0);
    put_string(&fields, "");
    put_varint(&fields, 0);
    put_record(out, TRACE_FACT_FILE, &fields);
    free(fields.at);
}

/* A code object whose executable lines are first + 1 to last. */
MAYBE void fact_code(struct bytes *out, unsigned number, unsigned file, int first, int last,
                     const char *name)
{
    struct bytes fields = {0};

    put_varint(&fields, number);
    put_varint(&fields, 0);
    put_varint(&fields, file);
    put_varint(&fields, (uint64_t)first);
    put_varint(&fields, 0);
    put_string(&fields, name);
    put_string(&fields, name);
    put_string(&fields, "m");
    put_varint(&fields, (uint64_t)(last - first));
    for (int line = first + 1; line <= last; line++)
        put_svarint(&fields, 1);
    put_record(out, TRACE_FACT_CODE, &fields);
    free(fields.at);
}

MAYBE void fact_end(struct bytes *out, unsigned how, unsigned status, uint64_t ticks)
{
    struct bytes fields = {0};

    put_varint(&fields, how);
    put_varint(&fields, status);
    put_varint(&fields, ticks);
    put_varint(&fields, ticks);
    put_record(out, TRACE_FACT_END, &fields);
    free(fields.at);
}

MAYBE void fact_child(struct bytes *out, unsigned pid, unsigned status, uint64_t ticks)
{
    struct bytes fields = {0};

    put_varint(&fields, pid);
    put_varint(&fields, status);
    put_varint(&fields, ticks);
    put_record(out, TRACE_FACT_CHILD, &fields);
    free(fields.at);
}

MAYBE void fact_string(struct bytes *out, unsigned number, const char *text)
{
    struct bytes fields = {0};

    put_varint(&fields, number);
    put_string(&fields, text);
    put_record(out, TRACE_FACT_STRING, &fields);
    free(fields.at);
}

/* --- Events: one tick each, in short forms where they fit --- */

MAYBE void no_stack(struct bytes *out)
{
    put(out, "\1\0\0", 3);
}

MAYBE void ev_line(struct bytes *out, int step)
{
    if (step >= -3 && step <= 4) {
        put_byte(out, 0x81 | (unsigned)(step + 3) << 4);
    } else {
        put_byte(out, TRACE_TAG_LINE);
        put_varint(out, 1);
        put_svarint(out, step);
    }
}

MAYBE void ev_call(struct bytes *out, unsigned code)
{
    put_byte(out, TRACE_SHORT_CALL | 1);
    put_varint(out, code);
}

MAYBE void ev_return(struct bytes *out)
{
    put_byte(out, TRACE_SHORT_RETURN | 1);
}

MAYBE void ev_yield(struct bytes *out)
{
    put_byte(out, TRACE_SHORT_YIELD | 1);
}

MAYBE void ev_with(struct bytes *out, unsigned tag, uint64_t operand)
{
    put_byte(out, tag);
    put_varint(out, 1);
    put_varint(out, operand);
}

/* --- Files for tests --- */

/* Writes the bytes to a new file; its name is in `path`, which has room for 64. */
MAYBE void build_file(const struct bytes *bytes, char path[64])
{
    strcpy(path, "/tmp/pyrec-test-XXXXXX");
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, bytes->at, bytes->size) != (ssize_t)bytes->size)
        abort();
    close(fd);
}

#endif
