/* sql_rows.h - rows of queries as text.
 *
 * A style is a row of function pointers; values are never changed by what the other end is, only
 * their dress: columns aligned on a terminal, else TSV   a line of column names, then the rows; \t
 * \n \r \\ escaped, NULL is \N CSV   RFC 4180 with a line of column names; NULL is empty, an empty
 * text is "" JSON  an array of objects; with several queries an array of those; infinities are null
 * Results of several queries are set apart by an empty line. BLOBs are upper-case hexadecimal,
 * whole numbers exact, reals the shortest decimal that reads back as the same number.
 */
#ifndef ANALYZER_SQL_ROWS_H
#define ANALYZER_SQL_ROWS_H

#include <stdbool.h>

#include <sqlite3.h>

struct error;
struct output;
struct sql_rows;

enum sql_rows_style { SQL_ROWS_ALIGNED, SQL_ROWS_TSV, SQL_ROWS_CSV, SQL_ROWS_JSON };

/* Writes to `out` (borrowed). `several`: more than one query gives rows (JSON's outer array). NULL:
 * out of memory. */
struct sql_rows *sql_rows_new(enum sql_rows_style style, struct output *out, bool several);

/* One result: begin, its rows, end. `statement` stands before its first row, on a row, behind its
 * last row. 0, or -1 with *err set. */
int sql_rows_begin(struct sql_rows *rows, sqlite3_stmt *statement, struct error *err);
int sql_rows_add(struct sql_rows *rows, sqlite3_stmt *statement, struct error *err);
int sql_rows_end(struct sql_rows *rows, struct error *err);

/* What has to stand behind the last result. */
void sql_rows_finish(struct sql_rows *rows);

void sql_rows_free(struct sql_rows *rows);

/* The shortest decimal of at least 15 digits that reads back as `value`, never looking like a whole
 * number. */
#define SQL_ROWS_NUMBER_SIZE 40
void sql_rows_real_text(char *text, double value);

#endif
