/* seeds.c - makes inputs for the fuzz targets out of a trace.
 *
 *     seeds packed|rows|database TRACE OUT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "analyzer/analyze.h"
#include "formats/error.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/packed.h"
#include "tests/fuzz/rows.h"

static uint8_t *read_all(const char *path, size_t *size)
{
    FILE *in = fopen(path, "rb");
    struct stat status;

    FUZZ_CLAIM(in && fstat(fileno(in), &status) == 0, "%s: cannot be read", path);
    *size = (size_t)status.st_size;
    uint8_t *bytes = malloc(*size + 1);
    FUZZ_CLAIM(bytes && fread(bytes, 1, *size, in) == *size, "%s: cannot be read", path);
    fclose(in);
    return bytes;
}

static uint8_t *make_packed(const char *path, size_t *size)
{
    size_t trace_size;
    uint8_t *trace = read_all(path, &trace_size), *packed = packed_pack(trace, trace_size, size);

    FUZZ_CLAIM(packed, "%s: no trace", path);
    free(trace);
    return packed;
}

/* The database of a trace: in memory, or a file. */
static sqlite3 *analyze(const char *path, const char *db_path)
{
    struct error err = {.usage = 0};
    struct analyze_options options = {.workers = 1};
    sqlite3 *db;

    FUZZ_CLAIM(analyze_traces(&path, 1, &options, db_path, &db, &err) == 0, "%s", err.text);
    return db;
}

static uint8_t *make_rows(const char *path, size_t *size)
{
    sqlite3 *db = analyze(path, NULL);
    uint8_t *rows = rows_write(db, size);

    sqlite3_close(db);
    return rows;
}

/* Small pages make a small file. */
static uint8_t *make_database(const char *path, size_t *size)
{
    char copy[128];

    snprintf(copy, sizeof copy, "%s/copy.db", scratch_folder());
    sqlite3 *db;

    sqlite3_close(analyze(path, copy)); /* which can only be read from */
    FUZZ_CLAIM(sqlite3_open(copy, &db) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    FUZZ_CLAIM(sqlite3_exec(db, "PRAGMA page_size = 512; VACUUM", NULL, NULL, NULL) == SQLITE_OK,
               "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
    return read_all(copy, size);
}

int main(int argc, char **argv)
{
    uint8_t *(*make)(const char *, size_t *) = NULL;
    size_t size;

    FUZZ_CLAIM(argc == 4, "usage: seeds packed|rows|database TRACE OUT");
    if (strcmp(argv[1], "packed") == 0)
        make = make_packed;
    else if (strcmp(argv[1], "rows") == 0)
        make = make_rows;
    else if (strcmp(argv[1], "database") == 0)
        make = make_database;
    FUZZ_CLAIM(make, "usage: seeds packed|rows|database TRACE OUT");
    uint8_t *bytes = make(argv[2], &size);
    FILE *out = fopen(argv[3], "wb");
    FUZZ_CLAIM(out && fwrite(bytes, 1, size, out) == size && fclose(out) == 0, "%s: not written",
               argv[3]);
    free(bytes);
    return 0;
}
