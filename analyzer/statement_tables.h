/* statement_tables.h - reports by statement instead of by line.
 *
 * Temporary tables take the places of those that have lines: in them the lines of one statement are
 * one, the first of them, with their sums. Formats and queries then see statements and need not
 * know. Where lines of one statement are on the stack at the same time, by recursion, their
 * cumulative times are added up.
 */
#ifndef ANALYZER_STATEMENT_TABLES_H
#define ANALYZER_STATEMENT_TABLES_H

#include <sqlite3.h>

struct error;

/* 0, or -1 with *err set: the database was not analyzed by statements, or SQLite failed. */
int statement_tables_make(sqlite3 *db, struct error *err);

#endif
