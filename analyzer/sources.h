/* sources.h - the source texts in traces, put together from their pieces (SOURCE chunks). */
#ifndef ANALYZER_SOURCES_H
#define ANALYZER_SOURCES_H

#include <stddef.h>
#include <stdint.h>

#include "formats/trace/decode.h"

struct error;
struct facts;
struct sources;
struct trace_file;

/* Finds the pieces in all traces; files[i] goes with facts[i], and both must outlive the result.
 * NULL with *err set. */
struct sources *sources_read(struct trace_file *const *files, struct facts *const *facts,
                             size_t count, struct error *err);
void sources_free(struct sources *sources);

/* How many texts a trace tells of and does not have, or not whole. */
uint64_t sources_missing(const struct sources *sources, const struct facts *facts);

/* The text with that SHA-256, checked; to be freed. Empty texts are one byte. NULL: not in the
 * traces, or not whole, or *err is set. */
uint8_t *sources_text(const struct sources *sources, struct trace_bytes sha256, size_t *size,
                      struct error *err);

#endif
