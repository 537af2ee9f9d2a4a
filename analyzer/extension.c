/* extension.c - the loadable extension pyrec_events.so: events and functions for the sqlite3 shell
 * and for Python.
 *
 *     .load ./pyrec_events
 *     CREATE VIRTUAL TABLE temp.events USING pyrec_events('trace.bin');
 */
#include <sqlite3ext.h>

#include "analyzer/events_table.h"
#include "analyzer/sql_functions.h"

SQLITE_EXTENSION_INIT1

/* SQLite derives this name from the file's: its letters only. */
__attribute__((visibility("default"))) int
sqlite3_pyrecevents_init(sqlite3 *db, char **message, const sqlite3_api_routines *api);

int sqlite3_pyrecevents_init(sqlite3 *db, char **message, const sqlite3_api_routines *api)
{
    int code;

    (void)message;
    SQLITE_EXTENSION_INIT2(api);
    code = sql_functions_register(db);
    return code == SQLITE_OK ? events_table_register_module(db) : code;
}
