/* timeline.h - what each thread did, as slices of time that nest: what chrometrace.c and
 * speedscope.c write down.
 *
 * A thread is played from the virtual table `events`. Slices begin and end in the order of a stack,
 * so that each lies within those that are open when it begins, and all of them in the window that
 * --from and --to leave. Of an exact trace they are activations of functions, of C functions too
 * where those were recorded. Of samples they are what one sample after the other found open,
 * without a break. With --lines there is a slice in that of the function from each line's beginning
 * to the next one's. In memory is one stack.
 */
#ifndef FORMATS_TIMELINE_H
#define FORMATS_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

struct catalog_function;
struct error;
struct format_options;
struct output;
struct timeline;

enum timeline_kind { TIMELINE_FUNCTION, TIMELINE_LINE, TIMELINE_C };

/* What a slice is of. */
struct timeline_slice {
    enum timeline_kind kind;
    const struct catalog_function *function; /* NULL: not known, or of C */
    int64_t line;                            /* LINE */
    const char *c_name;                      /* C */
};

struct timeline_thread {
    int64_t id, run_id, pid, native_id;
    int64_t pid_shown, native_id_shown; /* no two processes or threads have the same */
    const char *name, *command;         /* printable; of the thread, and of its process */
    bool is_main, is_sampled;
    int64_t from;       /* the window begins; without --from as early as numbers go */
    int64_t start, end; /* of the thread, in the window; end < start: it has nothing there */
};

/* Time that has passed with the stack as it is, of samples, or of a gap. */
struct timeline_weight {
    int64_t ns, cpu_ns, samples;
};

/* What is told of a thread, in the order of time. Any but begin and end may be NULL. 0, or -1 with
 * the error set. */
struct timeline_listener {
    int (*begin)(void *context, const struct timeline_slice *slice, int64_t time);
    int (*end)(void *context, const struct timeline_slice *slice, int64_t time);
    void (*instant)(void *context, const char *category, const char *name, int64_t time);
    int (*pass)(void *context, const struct timeline_weight *weight);
    void *context;
};

/* Playing stops when writing to `out` has failed. NULL with *err set on failure; all is borrowed
 * until timeline_close(). */
struct timeline *timeline_open(sqlite3 *db, const struct format_options *options,
                               struct output *out, struct error *err);

/* -1 if reading failed meanwhile. Accepts NULL. */
int timeline_close(struct timeline *timeline);

/* All threads with events, each process from its main thread on. 0, or -1 with the error set, or what `take`
 * returned that is not 0. */
int timeline_threads(struct timeline *timeline,
                     int (*take)(void *context, const struct timeline_thread *thread),
                     void *context);

/* Plays a thread, as often as wanted. 0, or -1 with the error set. */
int timeline_play(struct timeline *timeline, const struct timeline_thread *thread,
                  const struct timeline_listener *listener);

/* Printable, good until the next call. NULL with the error set on failure. */
const char *timeline_name(struct timeline *timeline, const struct timeline_slice *slice);

#endif
