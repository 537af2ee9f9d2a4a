/* sink.h - the trace file, being appended to by all processes of a run at once.
 *
 * Knows the file header, chunks and space; knows no event and no Python. Two ways into the file: a
 * *slot* is a chunk mapped and written in place (hot, survives a kill); sink_append() writes a finished
 * chunk with pwrite. Space is taken by adding to the shared `end` in page 0, so nobody waits for anybody.
 */
#ifndef RECORDER_SINK_H
#define RECORDER_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sink_setting {
    const char *key;
    const char *value;
    size_t value_size;
};

/* Creates the trace: header page and RUN chunk with the settings (TRACE.md section 4). `path` must not exist (O_EXCL).
 * Measures the clock. `mark` gets the run's mark as 32 digits and a NUL. Returns 0, or an errno with a reason in `why`; then no file is left. */
int sink_create(const char *path, const struct sink_setting *settings, size_t count, char mark[33], char *why,
                size_t why_size);

#endif
