/* trace_walk.h - the part of trace_file that finds the chunks (TRACE.md section 3). */
#ifndef ANALYZER_TRACE_WALK_H
#define ANALYZER_TRACE_WALK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct error;
struct trace_buffer;
struct trace_file;

/* Fills in chunks (in order of place), damage and size of a file whose header was read. 0, or -1
 * with *err set. */
int trace_walk(struct trace_file *file, struct error *err);

/* One more point that maps ticks to CLOCK_MONOTONIC: the one with the largest ticks is kept. */
void trace_note_anchor(struct trace_file *file, uint64_t ticks, uint64_t monotonic);

/* pread() that goes on after an interruption; less than `size` only at the end of the file. -1 with
 * errno set. */
ssize_t trace_pread(int fd, void *bytes, size_t size, uint64_t offset);

/* Room for `size` bytes. 0, or -1: no memory. */
int trace_buffer_reserve(struct trace_buffer *buffer, uint64_t size);

#endif
