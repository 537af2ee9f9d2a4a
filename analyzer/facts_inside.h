/* facts_inside.h - what the parts of facts share: facts.c, which reads chunks and answers, and
 * facts_records.c, which knows the records. Only they include it. */
#ifndef ANALYZER_FACTS_INSIDE_H
#define ANALYZER_FACTS_INSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/fact_list.h"
#include "analyzer/facts.h"

#define FACTS_LINE_MAX 2147483647

struct trace_chunk;
struct trace_file;

struct facts_string {
    struct facts_key key;
    struct trace_bytes text;
};

struct facts_child {
    uint32_t process;
    uint64_t pid, status, ticks;
};

struct facts {
    const struct trace_file *file; /* borrowed */
    uint8_t **payloads;            /* owned: what all the strings point into */
    size_t payload_count, payload_room;
    size_t order;
    struct fact_list processes, threads, files, codes, strings, windows, stats;
    struct facts_child *children; /* owned */
    size_t child_count, child_room;
    struct facts_setting *settings; /* owned */
    size_t setting_count, setting_room;
    struct facts_sampler *samplers; /* owned */
    size_t sampler_count, sampler_room;
    struct facts_gap *gaps; /* owned */
    size_t gap_count, gap_room;
    struct facts_trouble trouble;
    bool out_of_memory;
};

/* struct facts_process begins with its number alone; in the list it stands behind a key like the
 * others. */
struct process_entry {
    struct facts_key key;
    struct facts_process process;
};

/* A new record of the list, or NULL: no memory, which is noted. */
void *facts_add(struct facts *facts, struct fact_list *list, uint32_t process, uint64_t number);

/* Reads the records of a chunk of settings or facts. The bytes are kept: strings point into them.
 */
void facts_read_records(struct facts *facts, const struct trace_chunk *chunk, const uint8_t *bytes,
                        size_t size);

#endif
