/* events_ids.h - the ids that a trace's processes, threads, files and functions have in a database.
 *
 * If the connection's database holds the trace's run, they are those of its tables, found by what
 * identifies each (number, path and hash, file and name). Else they are those that analyzing just
 * these traces would give.
 */
#ifndef ANALYZER_EVENTS_IDS_H
#define ANALYZER_EVENTS_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/facts.h"
#include "analyzer/sqlite_api.h"
#include "analyzer/trace_file.h"

struct error;

/* What the database calls a thread of the trace; thread_id 0: it has no such thread. */
struct events_thread_ids {
    int64_t process_id, thread_id;
};

/* What is shown of a code object: its names as the database has them. */
struct events_code_names {
    const char *function, *file;
    int function_size, file_size;
};

struct events_ids {
    int64_t run_id;
    struct events_thread_ids *threads; /* owned; as in trace_file.threads */
    struct events_code_names *names;   /* owned; as facts_codes() has them */
    char **texts;                      /* owned; names that had to be changed */
    size_t text_count, text_room;
};

/* Where ids that count from 1 stand: the last one given. */
struct events_counts {
    int64_t run, process, thread;
};

/* Is there a run of this trace in the connection's main database? *run_id is 0 if not. 0, or -1
 * with *err set. */
int events_ids_find_run(sqlite3 *db, const char *trace_id, int64_t *run_id, struct error *err);

/* The rows of code that no fact defines; 0: there is none. 0, or -1 with *err set. */
int events_ids_find_unknown(sqlite3 *db, int64_t *function_id, int64_t *file_id, struct error *err);

/* Fills in *ids, of which run_id is set and the rest zero, and the `id` of all files and code of
 * the facts (0: none) from the tables of that run. 0, or -1 with *err set; events_ids_fini() is due
 * either way. */
int events_ids_match(struct events_ids *ids, sqlite3 *db, const struct trace_file *file,
                     const struct facts *facts, int64_t unknown_file, struct error *err);

/* As events_ids_match() without a database, run_id included: the facts have been through
 * model_build(). */
int events_ids_number(struct events_ids *ids, const struct trace_file *file,
                      const struct facts *facts, struct events_counts *counts, struct error *err);

void events_ids_fini(struct events_ids *ids);

/* The name of code, or of a file, that no fact defines. */
#define EVENTS_IDS_UNKNOWN "<unknown>"

#endif
