/* rows.h - the rows of a profile as a short string of bytes, for databases that no analysis makes.
 *
 * For each row: a byte for the table (of its name's checksum), then its values: a type byte and
 * what it asks for. The tables have the names and columns of profile.sql and nothing else of
 * it: no types, no keys, no NOT NULL. Whoever makes a database up is not bound by them.
 */
#ifndef TESTS_FUZZ_ROWS_H
#define TESTS_FUZZ_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

enum rows_type {
    ROWS_NULL,
    ROWS_SMALL, /* one byte, signed */
    ROWS_WHOLE, /* eight bytes, little-endian */
    ROWS_REAL,  /* eight bytes of a double */
    ROWS_TEXT,  /* a byte for the length, then that many */
    ROWS_BLOB,
    ROWS_TYPES
};

/* A database in memory with the rows. */
sqlite3 *rows_read(const uint8_t *bytes, size_t size);

/* The rows of a database as bytes, to be freed; values too long are cut. */
uint8_t *rows_write(sqlite3 *db, size_t *size);

#endif
