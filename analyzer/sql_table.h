/* sql_table.h - rows in aligned columns, for a terminal.
 *
 * Widths come from the first rows, which are held back for that; later ones follow as they come.
 * Numbers are right-aligned; what must not reach a terminal is shown as an escape, so that columns
 * stay straight.
 */
#ifndef ANALYZER_SQL_TABLE_H
#define ANALYZER_SQL_TABLE_H

#include <sqlite3.h>

struct output;
struct sql_table;

/* A table with the statement's columns, written to `out` (borrowed). NULL: out of memory. */
struct sql_table *sql_table_new(sqlite3_stmt *statement, struct output *out);

/* Adds the row on which the statement stands. 0, or -1: out of memory. */
int sql_table_add(struct sql_table *table, sqlite3_stmt *statement);

/* Writes what was held back. */
void sql_table_finish(struct sql_table *table);

/* Accepts NULL. */
void sql_table_free(struct sql_table *table);

#endif
