/* windows.h - which parts of a thread somebody asked for (TRACE.md section 4, WINDOW).
 *
 * Windows of one owner may overlap, and several owners may be asked for at once: what counts is
 * their union.
 */
#ifndef ANALYZER_WINDOWS_H
#define ANALYZER_WINDOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/trace/decode.h"

struct clock;
struct facts;
struct trace_thread;

/* From the stamp `start` on and before `end`. */
struct window {
    int64_t start, end;
};

/* Ascending and apart; begin with all zero. */
struct windows {
    struct window *items; /* owned: windows_fini() */
    size_t count, room;
};

/* Is it one of the owners, a list that ends with NULL? NULL instead of a list: anybody is. */
bool windows_owned_by(struct trace_bytes owner, const char *const *owners);

/* Those of the owners in which the thread takes part. 0, or -1: no memory; windows_fini() is due
 * either way. */
int windows_of_thread(struct windows *windows, const struct facts *facts, const struct clock *clock,
                      const char *const *owners, const struct trace_thread *thread);
void windows_fini(struct windows *windows);

/* The same piece by piece: any number of windows, then once windows_unite(). 0, or -1: no memory. */
int windows_add(struct windows *windows, struct window window);
void windows_unite(struct windows *windows);

/* Does one of them cover the stamp? */
bool windows_cover(const struct windows *windows, int64_t ns);

#endif
