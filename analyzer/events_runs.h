/* events_runs.h - the traces behind an `events` table: opened when first needed, their ids found.
 */
#ifndef ANALYZER_EVENTS_RUNS_H
#define ANALYZER_EVENTS_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/events_ids.h"
#include "analyzer/model.h"
#include "analyzer/sqlite_api.h"
#include "analyzer/windows.h"
#include "formats/error.h"

/* An open trace. */
struct events_run {
    struct trace_file *file;
    struct facts *facts;
    struct events_ids ids;
};

/* A thread of one of them, in the order of rows. */
struct events_thread {
    const struct events_run *run;
    const struct trace_thread *thread;
    struct events_thread_ids ids;
    struct windows windows; /* if the database was made of windows only: in them are the rows */
};

struct events_runs {
    sqlite3 *db;  /* borrowed */
    char **paths; /* owned */
    size_t path_count;
    bool bound; /* only to runs of the main database */

    bool open;
    struct error failure;    /* why it cannot be opened: the same at the next attempt */
    struct events_run *runs; /* owned; one a path */
    struct model model;      /* of all runs, if the database does not have them */
    uint32_t first_id;       /* what is added to a file's or code's id; then 0 is none */
    int64_t unknown_function, unknown_file; /* in the database, of code that no fact defines */
    struct events_thread *threads;          /* owned; by thread_id */
    size_t thread_count;
    bool cut;        /* all threads have windows */
    uint64_t events; /* about how many rows; 0: not known */
};

/* Opens the traces, once. db, paths and bound are set, the rest is zero. 0, or -1 with *err set. */
int events_runs_open(struct events_runs *runs, struct error *err);
void events_runs_fini(struct events_runs *runs);

/* The ids in the database, of code NULL those of unknown code; 0: it does not have it. */
int64_t events_runs_function_id(const struct events_runs *runs, const struct facts_code *code);
int64_t events_runs_file_id(const struct events_runs *runs, const struct facts_code *code);

#endif
