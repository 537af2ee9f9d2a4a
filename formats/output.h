/* output.h - where a format writes.
 *
 * A format never opens a file: it is given an output, which is standard output, one file, or a
 * family of numbered files. Files appear whole under their names or not at all: everything goes to
 * a temporary file in the same directory, which output_commit() syncs and renames. Where the file
 * system can, that file has no name until then, so that not even a kill leaves anything behind. A
 * path that is not a regular file (/dev/null, a pipe) is written to directly. The first failure
 * sticks: later writes do nothing and the commit reports it. A reader of standard output that went
 * away is no error: output_failed() says so, and the commit succeeds. (The caller ignores SIGPIPE.)
 */
#ifndef FORMATS_OUTPUT_H
#define FORMATS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct output;

/* What a terminal at the other end may be given; all false or 0 for a file or pipe. */
struct output_terminal {
    bool colour;
    int width; /* columns, 0 if unknown */
};

/* Standard output. Nothing is closed at the end. */
struct output *output_open_stdout(const struct output_terminal *terminal, struct error *err);

/* A file called `path`. NULL with *err set if its directory cannot be written. */
struct output *output_open_file(const char *path, struct error *err);

/* Nowhere yet: output_take() has what was written. */
struct output *output_open_memory(struct error *err);

/* A copy of what was written to memory, to be freed. 0, or -1 with *err set. */
int output_take(struct output *out, void **bytes, size_t *size, struct error *err);

/* The file that follows: `path` of the first with `suffix` (such as "-02") appended. The one before
 * is complete. -1 on stdout. */
int output_next_file(struct output *out, const char *suffix, struct error *err);

void output_write(struct output *out, const void *bytes, size_t size);
void output_text(struct output *out, const char *text);
void output_format(struct output *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void output_uint(struct output *out, uint64_t value); /* decimal, fast */

/* Printable text (text.h) as a string of JSON. */
void output_json_string(struct output *out, const char *text);

const struct output_terminal *output_terminal(const struct output *out);
bool output_failed(const struct output *out);

/* Makes the files visible under their names. -1 with *err set if anything failed since the start;
 * then nothing changed. */
int output_commit(struct output *out, struct error *err);

/* Frees, and removes whatever was not committed. Accepts NULL. */
void output_close(struct output *out);

#endif
