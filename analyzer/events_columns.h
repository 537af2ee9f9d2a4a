/* events_columns.h - what a row of `events` shows, column by column, computed when asked for.
 */
#ifndef ANALYZER_EVENTS_COLUMNS_H
#define ANALYZER_EVENTS_COLUMNS_H

#include "analyzer/events_runs.h"
#include "analyzer/events_walk.h"
#include "analyzer/sqlite_api.h"

struct error;

enum events_column {
    EVENTS_COLUMN_RUN,
    EVENTS_COLUMN_SEQ,
    EVENTS_COLUMN_TIME,
    EVENTS_COLUMN_SELF,
    EVENTS_COLUMN_PROCESS,
    EVENTS_COLUMN_THREAD,
    EVENTS_COLUMN_EVENT,
    EVENTS_COLUMN_FILE_ID,
    EVENTS_COLUMN_FUNCTION_ID,
    EVENTS_COLUMN_LINE,
    EVENTS_COLUMN_DEPTH,
    EVENTS_COLUMN_ACTIVATION,
    EVENTS_COLUMN_FILE,
    EVENTS_COLUMN_FUNCTION,
    EVENTS_COLUMN_DETAIL,
    EVENTS_COLUMN_SAMPLES,
    EVENTS_COLUMN_SELF_CPU,
    EVENTS_COLUMN_STACK,
};

#define EVENTS_COLUMNS_DECLARATION                                                                 \
    "CREATE TABLE events (run_id INTEGER, seq INTEGER, time_ns INTEGER, self_ns INTEGER, "         \
    "process_id INTEGER, thread_id INTEGER, event TEXT, file_id INTEGER, function_id INTEGER, "    \
    "line INTEGER, depth INTEGER, activation INTEGER, file TEXT, function TEXT, detail TEXT, "     \
    "samples INTEGER HIDDEN, self_cpu_ns INTEGER HIDDEN, stack TEXT HIDDEN)"

/* An activation is its thread's number, shifted by this, and its own. */
enum { EVENTS_ACTIVATION_BITS = 40 };

/* Gives SQLite the column of the row on which the walk over `thread` stands. 0, or -1 with *err
 * set. */
int events_columns_result(sqlite3_context *context, int column, const struct events_runs *runs,
                          const struct events_thread *thread, struct events_walk *walk,
                          struct error *err);

#endif
