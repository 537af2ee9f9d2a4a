/* run_warnings.h - what is wrong with a run: rows of the table warnings, and whether it is
 * complete. */
#ifndef ANALYZER_RUN_WARNINGS_H
#define ANALYZER_RUN_WARNINGS_H

#include <stdbool.h>

struct run;
struct store;

/* Its threads have been replayed, both times. */
void run_store_warnings(const struct run *run, struct store *store);

/* Did every process end in order, and is nothing missing, damaged or unseen? */
bool run_is_complete(const struct run *run);

#endif
