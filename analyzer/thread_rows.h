/* thread_rows.h - the rows of one thread: what its sums are, written as they stand. */
#ifndef ANALYZER_THREAD_ROWS_H
#define ANALYZER_THREAD_ROWS_H

#include <stdint.h>

struct model;
struct replay;
struct store;

/* Completes the sums for reading: lines and edges get what only their cells and entries had, every
 * function its id in the model, every context its row, from first_context + 1 on. 0, or -1: no
 * memory. */
int thread_rows_settle(struct replay *replay, struct model *model, uint64_t first_context);

/* Writes line_stats, edge_stats, contexts, context_lines, context_edges, accounts, gaps,
 * open_frames and marks. Failures stick in the store; -1: no memory. */
int thread_rows_store(struct replay *replay, const struct model *model, struct store *store,
                      int64_t process_id, int64_t thread_id);

#endif
