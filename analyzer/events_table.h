/* events_table.h - the virtual table `events`: a trace's events as rows, read in place.
 *
 * Nothing is loaded: a query decodes what it needs, in memory that does not grow with the events.
 * Conditions on time_ns, run_id, process_id, thread_id, file_id and function_id are decided while
 * decoding; the natural order is (thread_id, seq). events_columns.h has the columns, pyanalyze(1) what
 * they mean.
 */
#ifndef ANALYZER_EVENTS_TABLE_H
#define ANALYZER_EVENTS_TABLE_H

#include <stddef.h>

#include "analyzer/sqlite_api.h"

#define EVENTS_TABLE_MODULE "pyrec_events"

/* Makes `temp.events` over the traces, whose ids are those of the connection's main database.
 * `paths` are borrowed until the connection is closed; they are opened when a query first needs
 * them. With none, a query fails with a sentence that says so. SQLite's code. */
int events_table_register(sqlite3 *db, const char *const *paths, size_t count);

/* The module for CREATE VIRTUAL TABLE temp.NAME USING pyrec_events('trace.bin', ...), for the
 * loadable extension. */
int events_table_register_module(sqlite3 *db);

#endif
