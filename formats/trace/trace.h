/* trace.h - the trace file as bytes.
 *
 * TRACE.md is the specification and this header its only translation into C: recorder/ writes by
 * it, analyzer/ reads by it, and nobody else defines a tag, an offset or a version. No code, libc only.
 */
#ifndef FORMATS_TRACE_TRACE_H
#define FORMATS_TRACE_TRACE_H

#include <stdint.h>

#define TRACE_MAGIC "\x89PYT\r\n\x1a\n"
#define TRACE_MAGIC_SIZE 8
#define TRACE_WRITE_VERSION 1
#define TRACE_READ_VERSION 1
#define TRACE_PAGE 4096u
#define TRACE_MARK_SIZE 16

/* File header: offsets in page 0 (TRACE.md section 2). */
enum trace_header_offset {
    TRACE_HEADER_WRITE_VERSION = 8,
    TRACE_HEADER_READ_VERSION = 10,
    TRACE_HEADER_CRC = 12,
    TRACE_HEADER_MARK = 16,
    TRACE_HEADER_REALTIME = 32,
    TRACE_HEADER_MONOTONIC = 40,
    TRACE_HEADER_TICKS = 48,
    TRACE_HEADER_TICK_RATE = 56,
    TRACE_HEADER_CLOCK = 64,
    TRACE_HEADER_TICK_SHIFT = 68,
    TRACE_HEADER_CHECKED_END = 80,
    TRACE_HEADER_END = 128,
    TRACE_HEADER_NEXT_PROCESS = 136,
    TRACE_HEADER_NEXT_THREAD = 140,
    TRACE_HEADER_STOP = 144,
    TRACE_HEADER_EVENTS = 152,
    TRACE_HEADER_SOURCES = 1024,
};
#define TRACE_HEADER_SOURCE_COUNT 384
#define TRACE_TICK_SHIFT_MAX 16

enum trace_clock { TRACE_CLOCK_MONOTONIC = 0, TRACE_CLOCK_TSC = 1 };

/* Chunk header: offsets from the chunk's start (section 3). */
enum trace_chunk_offset {
    TRACE_CHUNK_MARK = 0,
    TRACE_CHUNK_CRC = 16,
    TRACE_CHUNK_KIND = 20,
    TRACE_CHUNK_FLAGS = 24,
    TRACE_CHUNK_PROCESS = 28,
    TRACE_CHUNK_THREAD = 32,
    TRACE_CHUNK_ENCODING = 36,
    TRACE_CHUNK_SEQUENCE = 40,
    TRACE_CHUNK_CAPACITY = 48,
    TRACE_CHUNK_LENGTH = 56,
    TRACE_CHUNK_TICKS = 64,
    TRACE_CHUNK_MONOTONIC = 72,
    TRACE_CHUNK_EVENTS_BEFORE = 80,
    TRACE_CHUNK_CPU = 88,
    TRACE_CHUNK_PAYLOAD = 96,
};

enum trace_chunk_kind {
    TRACE_RUN = 1,
    TRACE_FACTS = 2,
    TRACE_EVENTS = 3,
    TRACE_STACK = 4,
    TRACE_SOURCE = 5,
    TRACE_SAMPLES = 8, /* 6 and 7 were these before they had a version */
    TRACE_PACK = 9,
};
/* The most bytes before the records of a chunk in a PACK chunk: six varints. */
#define TRACE_PACKED_HEADER_MAX 60u
#define TRACE_CHUNK_OPTIONAL 0x80000000u
#define TRACE_FLAG_SEALED 1u
#define TRACE_FLAG_STACK_APART 2u
#define TRACE_ENCODING_RAW 0u

/* Records of RUN and FACTS chunks (section 4). */
enum trace_fact_kind {
    TRACE_FACT_SETTING = 1,
    TRACE_FACT_PROCESS = 2,
    TRACE_FACT_THREAD = 3,
    TRACE_FACT_FILE = 4,
    TRACE_FACT_CODE = 5,
    TRACE_FACT_STRING = 6,
    TRACE_FACT_END = 7,
    TRACE_FACT_CHILD = 8,
    TRACE_FACT_GAP = 9,
    TRACE_FACT_STATS = 10,
    TRACE_FACT_WINDOW = 11,
    TRACE_FACT_SAMPLER = 12,
    TRACE_FACT_TAKEN = 13,
};

enum trace_process_how {
    TRACE_PROCESS_FIRST = 0,
    TRACE_PROCESS_FORK = 1,
    TRACE_PROCESS_SPAWN = 2,
    TRACE_PROCESS_EXEC = 3,
};

enum trace_end_how { TRACE_END_EXIT = 0, TRACE_END_EXEC = 1, TRACE_END_STOPPED = 2 };

enum trace_origin {
    TRACE_ORIGIN_PROGRAM = 0,
    TRACE_ORIGIN_STDLIB = 1,
    TRACE_ORIGIN_SITE = 2,
    TRACE_ORIGIN_FROZEN = 3,
    TRACE_ORIGIN_GENERATED = 4,
};

enum trace_code_flag {
    TRACE_CODE_GENERATOR = 1,
    TRACE_CODE_MODULE = 2,
    TRACE_CODE_CLASS = 4,
};

enum trace_gap_reason {
    TRACE_GAP_PAUSED = 1,
    TRACE_GAP_REPLACED = 2,
    TRACE_GAP_FULL = 3,
    TRACE_GAP_LOST = 4,
    TRACE_GAP_FAILED = 5,
    TRACE_GAP_UNSEEN = 6,
};

/* Events (section 6). Tags are on disk: append, never renumber or reuse. The operand string says
 * what follows the tag: t time, v varint, s svarint, k stack record, b varint length and bytes. */
/* clang-format off */
#define TRACE_EVENT_MAP(X)            \
    X(0x01, LINE,      "ts")          \
    X(0x02, CALL,      "tv")          \
    X(0x03, RETURN,    "t")           \
    X(0x04, YIELD,     "t")           \
    X(0x05, RESUME,    "tv")          \
    X(0x06, UNWIND,    "t")           \
    X(0x07, RAISE,     "tv")          \
    X(0x08, C_CALL,    "tv")          \
    X(0x09, C_RETURN,  "t")           \
    X(0x0A, CONTINUE,  "tvsr")        \
    X(0x0B, CPU,       "v")           \
    X(0x0C, SWITCH,    "tk")          \
    X(0x0D, GAP,       "tvvk")        \
    X(0x0E, MARK,      "tv")          \
    X(0x0F, EXTENSION, "vb")
/* clang-format on */

enum trace_tag {
    TRACE_TAG_END = 0,
#define X(tag, name, operands) TRACE_TAG_##name = (tag),
    TRACE_EVENT_MAP(X)
#undef X
};

/* Short forms: the high bits of the first byte name the event. */
#define TRACE_SHORT_LINE 0x80u      /* 1lll tttt */
#define TRACE_SHORT_LINE_BIAS 3
#define TRACE_SHORT_LINE_WIDE 0x40u /* 01ll llll, then one byte of time */
#define TRACE_SHORT_LINE_WIDE_BIAS 32
#define TRACE_SHORT_YIELD 0x30u     /* 0011 tttt */
#define TRACE_SHORT_RETURN 0x20u    /* 0010 tttt */
#define TRACE_SHORT_CALL 0x10u      /* 0001 tttt, then varint code */
#define TRACE_SHORT_TIME 16u        /* times below this fit a short form */

/* Records of SAMPLES chunks (section 9). On disk, as tags are. */
enum trace_sample_tag {
    TRACE_SAMPLE_END = 0,
    TRACE_SAMPLE_NODE = 1,
    TRACE_SAMPLE_RUNNING = 2, /* the first byte's bits ss, plus 2 */
    TRACE_SAMPLE_GIL = 3,
    TRACE_SAMPLE_BLOCKED = 4,
    TRACE_SAMPLE_SAME = 5,
    TRACE_SAMPLE_MISSED = 6,
    TRACE_SAMPLE_GAP = 7,
    TRACE_SAMPLE_UNITS = 8,
    TRACE_SAMPLE_EXTENSION = 15,
};

/* Those of RUNNING to SAME have a time in the first byte, as `1sst tttt`; the short form of NODE has
 * its line there, as `01ll llll`. */
#define TRACE_SAMPLE_TIMED 0x80u
#define TRACE_SAMPLE_FAR 31u /* this time and others stand behind the first byte */
#define TRACE_SHORT_NODE 0x40u
#define TRACE_SHORT_NODE_LINES 64u

/* So many units of time are a period, or about that. */
#define TRACE_SAMPLE_PERIOD 16u

/* A CPU stamp explains every interval longer than this. */
#define TRACE_CPU_STAMP_NS 20000u

#endif
