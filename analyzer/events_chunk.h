/* events_chunk.h - the chunks of a walk over events, as they are opened. Only events_walk.c
 * includes it. */
#ifndef ANALYZER_EVENTS_CHUNK_H
#define ANALYZER_EVENTS_CHUNK_H

#include <stdbool.h>

#include "formats/trace/decode.h"

struct error;
struct events_walk;
struct trace_buffer;
struct trace_chunk;

/* Reads a chunk and puts the cursor before its first event; with `head` perhaps only as much as its
 * stack record takes. *record is that record; record->at is NULL if there is none: it is apart, or
 * the chunk was begun and nothing else. 0, or -1 with *err set. */
int events_chunk_open(const struct events_walk *walk, const struct trace_chunk *chunk, bool head,
                      struct trace_buffer *buffer, struct trace_cursor *cursor,
                      struct trace_stack *record, struct error *err);

/* The record of a chunk that has it apart, in the walk's buffer `ahead`. */
int events_chunk_read_stack_apart(struct events_walk *walk, const struct trace_chunk *chunk,
                                  struct trace_stack *record, struct error *err);

#endif
