/* run.h - one input of an analysis: a trace, its facts, and its rows in runs, processes, threads,
 * gaps and warnings. */
#ifndef ANALYZER_RUN_H
#define ANALYZER_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "analyzer/alive.h"
#include "analyzer/analyze.h"
#include "analyzer/facts.h"
#include "analyzer/trace_file.h"

struct error;
struct replay;
struct replay_trouble;
struct store;

/* What is known of a process beside its facts. */
struct run_process {
    struct facts_process *facts; /* borrowed */
    int64_t id;                  /* row; 0: not selected */
    int64_t start_ns, end_ns;
    enum alive alive; /* of one whose end is not told */
};

struct run {
    bool is_sampled; /* else recorded exactly */
    struct trace_file *file;
    struct facts *facts;
    int64_t id;                    /* row */
    struct run_process *processes; /* owned; by number */
    size_t process_count;
    int64_t *thread_ids;       /* owned; rows of file->threads, 0: none */
    int64_t first_ns, last_ns; /* stamps of all */
    uint64_t events;
    struct replay_trouble *trouble; /* owned; of all threads */
    uint64_t unknown_codes;
    uint64_t missing_texts; /* sources that were recorded and are not there */
};

/* Opens the trace. 0, or -1 with *err set. In any case run_close() frees. */
int run_open(struct run *run, const char *path, int64_t id, struct error *err);
void run_close(struct run *run);

/* Gives rows to the processes that are selected, from *last_id + 1 on. */
void run_number_processes(struct run *run, const struct selection *selection, int64_t *last_id);

/* Is the thread part of the selection? */
bool run_selects(const struct run *run, const struct selection *selection,
                 const struct trace_thread *thread);

/* Writes the row of a thread that was replayed, and takes note of its stamps and troubles. */
void run_store_thread(struct run *run, struct store *store, const struct trace_thread *thread,
                      int64_t thread_id, const struct replay *replay);

/* Writes the rows of the run and its processes, the gaps and windows that facts tell of, and the
 * warnings. */
void run_store(struct run *run, struct store *store, const struct selection *selection);

/* How a process ended, as processes.ended has it: exit N, signal N, exec, unknown. */
enum { RUN_TEXT_SIZE = 256 };
void run_tell_end(const struct facts_process *process, char text[RUN_TEXT_SIZE]);

/* The row of a process, 0 if it has none. */
int64_t run_process_id(const struct run *run, uint64_t number);

#endif
