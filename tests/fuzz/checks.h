/* checks.h - what must hold of a profile, wherever it came from. */
#ifndef TESTS_FUZZ_CHECKS_H
#define TESTS_FUZZ_CHECKS_H

#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

/* Analyzes the trace at `path` into memory. If that works, the books close, every event can be read
 * through the virtual table, and every format can be written. `choice` picks options. */
void check_trace(const char *path, uint32_t choice);

/* Every format of the table writes the database or says in one line why not; what is text is safe
 * to show. */
void check_formats(sqlite3 *db, uint32_t choice);

/* Valid UTF-8, and nothing that moves a terminal's cursor or reorders what follows. */
void check_text(const char *format, const uint8_t *bytes, size_t size);

/* The query gives one row with the number 0. */
void check_zero(sqlite3 *db, const char *query);

/* Runs the queries, guarded as those of --sql are; their rows go nowhere. */
void check_queries(sqlite3 *db, const char *text, int style);

/* An error is one line of printable text. */
struct error;
void check_error(const struct error *err);

#endif
