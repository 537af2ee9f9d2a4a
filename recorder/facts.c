#include "recorder/facts.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats/trace/encode.h"
#include "recorder/clock.h"
#include "recorder/recorder.h"
#include "recorder/section.h"
#include "recorder/sink.h"

#define FIRST_CAPACITY (4u << 10)
#define LARGEST_CAPACITY (256u << 10)

/* Kept free in each chunk for facts_write_last(): a few records of some tens of bytes. */
#define LAST_RECORDS 256u

static struct {
    struct section section;
    struct sink_slot slot;
    uint64_t used; /* bytes of payload */
    uint64_t sequence;
    uint32_t next_number;
} facts = {.section = SECTION_OF(SECTION_FACTS), .next_number = 1};

void fact_init(struct fact *fact)
{
    fact->bytes = fact->small;
    fact->size = 0;
    fact->capacity = sizeof fact->small;
    fact->failed = false;
}

void fact_fini(struct fact *fact)
{
    if (fact->bytes != fact->small)
        free(fact->bytes);
    fact_init(fact);
}

static bool grow(struct fact *fact, size_t need)
{
    size_t capacity = fact->capacity;
    uint8_t *bytes;

    while (capacity < need)
        capacity *= 2;
    bytes = realloc(fact->bytes != fact->small ? fact->bytes : NULL, capacity);
    if (bytes == NULL) {
        fact->failed = true;
        return false;
    }
    if (fact->bytes == fact->small)
        memcpy(bytes, fact->small, FACT_HEAD + fact->size);
    fact->bytes = bytes;
    fact->capacity = capacity;
    return true;
}

uint8_t *fact_room(struct fact *fact, size_t size)
{
    size_t need = FACT_HEAD + fact->size + size;

    if (fact->failed || (need > fact->capacity && !grow(fact, need)))
        return NULL;
    return fact->bytes + FACT_HEAD + fact->size;
}

void fact_put_uint(struct fact *fact, uint64_t value)
{
    uint8_t *at = fact_room(fact, TRACE_VARINT_SIZE_MAX);

    if (at != NULL)
        fact_end(fact, trace_put_varint(at, value));
}

void fact_put_string(struct fact *fact, const void *bytes, size_t size)
{
    uint8_t *at = fact_room(fact, TRACE_VARINT_SIZE_MAX + size);

    if (at != NULL)
        fact_end(fact, trace_put_string(at, bytes, size));
}

/* Puts kind and length before the payload; returns where the record begins. */
static uint8_t *put_head(struct fact *fact, enum trace_fact_kind kind)
{
    uint8_t head[FACT_HEAD] = {(uint8_t)kind};
    size_t size = (size_t)(trace_put_varint(head + 1, fact->size) - head);
    uint8_t *record = fact->bytes + FACT_HEAD - size;

    memcpy(record, head, size);
    return record;
}

static void close_chunk(struct sink_slot *slot, uint64_t used)
{
    if (slot->bytes == NULL)
        return;
    sink_slot_seal(slot, used);
    sink_slot_unmap(slot);
}

static struct sink_chunk next_header(void)
{
    return (struct sink_chunk){
        .kind = TRACE_FACTS,
        .process = recorder.process,
        .sequence = facts.sequence,
        .ticks = clock_ticks(),
        .monotonic_ns = clock_read_ns(CLOCK_MONOTONIC),
    };
}

/* The next chunk comes before the end of the one in hand: where there is no room for it, that one
 * still takes the last records. */
static bool open_chunk(uint64_t capacity)
{
    struct sink_chunk chunk = next_header();
    struct sink_slot slot;

    if (!sink_slot_open(&recorder.sink, &slot, capacity, &chunk))
        return false;
    close_chunk(&facts.slot, facts.used);
    facts.slot = slot;
    facts.used = 0;
    facts.sequence++;
    return true;
}

/* A slot that has grown to its full size is copied and stays: its pages are there already. */
static bool reuse_chunk(void)
{
    struct sink_chunk chunk = next_header();

    if (!sink_slot_copy(&recorder.sink, &facts.slot, facts.used))
        return false;
    sink_slot_reuse(&facts.slot, &chunk, NULL, 0);
    facts.used = 0;
    facts.sequence++;
    return true;
}

/* A record too large for a chunk in place gets a chunk of its own. */
static bool write_apart(const uint8_t *record, size_t size)
{
    struct sink_chunk chunk = next_header();

    if (!sink_append(&recorder.sink, &chunk, record, size))
        return false;
    facts.sequence++;
    return true;
}

static bool has_room(size_t size, size_t reserve)
{
    return facts.slot.bytes != NULL &&
           TRACE_CHUNK_PAYLOAD + facts.used + size + reserve <= facts.slot.capacity;
}

static bool make_room(size_t size)
{
    uint64_t capacity = facts.slot.bytes != NULL ? facts.slot.capacity * 4 : FIRST_CAPACITY;

    if (facts.slot.bytes != NULL && facts.slot.capacity == LARGEST_CAPACITY)
        return reuse_chunk();
    while (capacity < LARGEST_CAPACITY && capacity < TRACE_CHUNK_PAYLOAD + size + LAST_RECORDS)
        capacity *= 2;
    return open_chunk(capacity < LARGEST_CAPACITY ? capacity : LARGEST_CAPACITY);
}

static void put_record(const uint8_t *record, size_t size)
{
    uint8_t *at = facts.slot.bytes + TRACE_CHUNK_PAYLOAD + facts.used;

    memcpy(at + 1, record + 1, size - 1);
    trace_publish(at, record[0]);
    facts.used += size;
}

static bool write_record(const uint8_t *record, size_t size, size_t reserve)
{
    if (size > LARGEST_CAPACITY - TRACE_CHUNK_PAYLOAD - LAST_RECORDS)
        return write_apart(record, size);
    if (!has_room(size, reserve) && !make_room(size))
        return false;
    put_record(record, size);
    return true;
}

enum outcome { WRITTEN, LEFT_OUT, FAILED };

static enum outcome write_fact(enum trace_fact_kind kind, struct fact *fact, size_t reserve)
{
    enum outcome outcome = fact->failed ? FAILED : LEFT_OUT;
    bool left_out = recorder.forked && !recorder.active; /* a child that is not recorded */

    if (!fact->failed && !left_out) {
        const uint8_t *record = put_head(fact, kind);
        size_t size = (size_t)(fact->bytes + FACT_HEAD + fact->size - record);

        recorder_enter_child(); /* the chunk in hand may be the parent's */
        if (section_enter(&facts.section)) {
            outcome = write_record(record, size, reserve) ? WRITTEN : FAILED;
            section_leave(&facts.section);
        }
    }
    fact_fini(fact);
    return outcome;
}

bool facts_write(enum trace_fact_kind kind, struct fact *fact)
{
    enum outcome outcome = write_fact(kind, fact, LAST_RECORDS);

    if (outcome == FAILED)
        recorder_halt();
    return outcome == WRITTEN;
}

void facts_write_last(enum trace_fact_kind kind, struct fact *fact)
{
    write_fact(kind, fact, 0);
}

uint32_t facts_next_number(void)
{
    return __atomic_fetch_add(&facts.next_number, 1, __ATOMIC_RELAXED);
}

uint32_t facts_peek_number(void)
{
    return __atomic_load_n(&facts.next_number, __ATOMIC_RELAXED);
}

void facts_seal(void)
{
    if (!section_enter(&facts.section))
        return;
    close_chunk(&facts.slot, facts.used);
    section_leave(&facts.section);
}

struct section *facts_section(void)
{
    return &facts.section;
}

void facts_forget(void)
{
    sink_slot_unmap(&facts.slot);
    facts.used = 0;
    facts.sequence = 0;
}

void facts_restart(void)
{
    facts_forget();
    facts.next_number = 1;
}
