/* sql_functions.h - what --sql and the loadable extension add to SQLite's own functions.
 *
 *   regexp(pattern, text)  1 if the POSIX extended regular expression is found in text; also `text
 * REGEXP pattern` median(x)              aggregate: the middle value, the mean of the two middle
 * ones if there are two percentile(x, p)       aggregate: the value below which p percent lie, 0 <=
 * p <= 100, linear in between duration(ns)           '1.23 ms': three digits and the unit that
 * suits
 *
 * NULLs are not counted; of nothing, and of a NULL, the result is NULL. Whole numbers stay exact.
 */
#ifndef ANALYZER_SQL_FUNCTIONS_H
#define ANALYZER_SQL_FUNCTIONS_H

#include "analyzer/sqlite_api.h"

/* SQLITE_OK, or SQLite's code for what failed. */
int sql_functions_register(sqlite3 *db);

#endif
