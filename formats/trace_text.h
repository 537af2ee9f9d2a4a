/* trace_text.h - the parts of the format `trace`; timeline.c takes what it needs of them. */
#ifndef FORMATS_TRACE_TEXT_H
#define FORMATS_TRACE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "formats/keymap.h"
#include "formats/pool.h"
#include "formats/query.h"

struct catalog;
struct catalog_file;
struct catalog_function;
struct error;
struct format_options;
struct format_time;

enum trace_text_kind {
    TRACE_TEXT_LINE,
    TRACE_TEXT_CALL,
    TRACE_TEXT_RESUME,
    TRACE_TEXT_RETURN,
    TRACE_TEXT_YIELD,
    TRACE_TEXT_UNWIND,
    TRACE_TEXT_RAISE,
    TRACE_TEXT_C_CALL,
    TRACE_TEXT_C_RETURN,
    TRACE_TEXT_SWITCH,
    TRACE_TEXT_MARK,
    TRACE_TEXT_SAMPLE,
    TRACE_TEXT_OTHER, /* a gap, or what this version does not know */
};

enum trace_text_kind trace_text_kind(const char *name);

/* An event that is to be shown. */
struct trace_text_event {
    enum trace_text_kind kind;
    int64_t time;
    const char *thread_name;                 /* printable */
    const struct catalog_file *file;         /* NULL: none */
    const struct catalog_function *function; /* NULL: none */
    int64_t line;
    int64_t level;      /* frames below it that are shown */
    int64_t since;      /* when the activation that ends here began; -1: no such, or not known */
    const char *detail; /* not terminated */
    size_t detail_size;
};

/* The events of a run that --from, --to, --function and --file leave, in the order of time. */
struct trace_text_walk {
    sqlite3 *db;
    const struct catalog *catalog;
    const struct format_options *options;
    int64_t run_id;
    int64_t end; /* last stamp of the run: what times from the end mean */

    /* Takes one. Not 0: stop, and that is the result of the walk. */
    int (*take)(void *context, const struct trace_text_event *event);
    void *context;
    struct error *err;
};

/* What --function asks for. All zeros: nothing. */
struct trace_text_functions {
    int64_t *ids; /* owned; ascending */
    size_t count, room;
};

/* By name, qualified name or a glob on the latter. 0, or -1 with *err set, also if there is none.
 */
int trace_text_find_functions(struct trace_text_functions *functions, sqlite3 *db,
                              const char *function, struct error *err);
bool trace_text_is_asked(const struct trace_text_functions *functions, int64_t function_id);
void trace_text_functions_fini(struct trace_text_functions *functions);

/* A point of a run that ends at `end`; `otherwise` if none was given. */
int64_t trace_text_time(const struct format_time *time, int64_t end, int64_t otherwise);

/* 0; or -1 with *err set; or what stopped it. */
int trace_text_walk(const struct trace_text_walk *walk);

/* The texts of lines, each read once. */
struct trace_text_source {
    const char *text; /* without the blanks it begins with; not terminated */
    size_t size;
};

struct trace_text_sources {
    struct query query;
    struct keymap numbers;             /* of (file, line), from 1 */
    struct trace_text_source *sources; /* owned */
    size_t count, room;
    struct pool pool;
    struct error *err;
};

int trace_text_sources_init(struct trace_text_sources *sources, sqlite3 *db, struct error *err);

/* -1 if reading failed meanwhile. All zeros may be finished too. */
int trace_text_sources_fini(struct trace_text_sources *sources);

/* The text of a line, empty if it is not known; good until the next call. NULL with the error set.
 */
const struct trace_text_source *trace_text_source(struct trace_text_sources *sources, int64_t file,
                                                  int64_t line);

#endif
