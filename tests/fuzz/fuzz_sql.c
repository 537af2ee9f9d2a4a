/* fuzz_sql.c - any text as --sql: it may read and use TEMP, and nothing else changes. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/events_table.h"
#include "analyzer/sql_functions.h"
#include "formats/error.h"
#include "generated/profile_sql.h"
#include "tests/fuzz/checks.h"
#include "tests/fuzz/fuzz.h"

enum { STEPS_MAX = 200, VALUE_MAX = 1 << 20, MEMORY_MAX = 256 << 20 };

static const char some_rows[] = "INSERT INTO meta VALUES ('a', 'b'), ('c', NULL);"
                                "INSERT INTO warnings VALUES (1, 'text'), (1, 'other');"
                                "INSERT INTO contexts VALUES (1, NULL, 1, NULL, 0, 0, 5, 5, 9, 9), "
                                "(2, 1, 1, 1, 1, 0, 4, 4, 4, 4)";

static int count_steps(void *steps)
{
    return ++*(unsigned *)steps > STEPS_MAX;
}

static sqlite3 *open_base(unsigned char **image, sqlite3_int64 *size)
{
    sqlite3 *db;

    FUZZ_CLAIM(sqlite3_open(":memory:", &db) == SQLITE_OK, "no memory");
    FUZZ_CLAIM(sqlite3_exec(db, "PRAGMA page_size = 512", NULL, NULL, NULL) == SQLITE_OK &&
                   sqlite3_exec(db, profile_schema_sql, NULL, NULL, NULL) == SQLITE_OK &&
                   sqlite3_exec(db, some_rows, NULL, NULL, NULL) == SQLITE_OK &&
                   sql_functions_register(db) == SQLITE_OK &&
                   events_table_register(db, NULL, 0) == SQLITE_OK,
               "%s", sqlite3_errmsg(db));
    *image = sqlite3_serialize(db, "main", size, 0);
    FUZZ_CLAIM(*image, "no memory");
    return db;
}

static void check_unchanged(sqlite3 *db, const unsigned char *before, sqlite3_int64 before_size)
{
    sqlite3_int64 size;
    unsigned char *image = sqlite3_serialize(db, "main", &size, 0);

    FUZZ_CLAIM(image, "no memory");
    FUZZ_CLAIM(size == before_size && memcmp(image, before, (size_t)size) == 0,
               "the query has written to the database");
    sqlite3_free(image);
    check_zero(db, "SELECT count(*) FROM pragma_database_list WHERE name NOT IN ('main', 'temp')");
}

static void check_empty(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        FUZZ_CLAIM(entry->d_name[0] == '.', "the query has made a file: %s", entry->d_name);
    closedir(dir);
}

/* Queries run in an empty folder: relative names must not make anything there. */
static void run_in(const char *folder, sqlite3 *db, const char *text, int style)
{
    unsigned steps = 0;
    int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    FUZZ_CLAIM(here >= 0 && chdir(folder) == 0, "%s: no folder", folder);
    sqlite3_progress_handler(db, 1000, count_steps, &steps);
    check_queries(db, text, style);
    sqlite3_progress_handler(db, 0, NULL, NULL);
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    FUZZ_CLAIM(fchdir(here) == 0, "no way back");
    close(here);
    check_empty(folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    unsigned char *image;
    sqlite3_int64 image_size;
    char *text = strndup((const char *)bytes, size);
    sqlite3 *db = open_base(&image, &image_size);

    FUZZ_CLAIM(text, "no memory");
    sqlite3_soft_heap_limit64(MEMORY_MAX / 2);
    sqlite3_hard_heap_limit64(MEMORY_MAX);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, VALUE_MAX);
    run_in(scratch_empty_folder(), db, text, (int)(fuzz_sum(bytes, size) % 4));
    check_unchanged(db, image, image_size);
    FUZZ_CLAIM(sqlite3_close(db) == SQLITE_OK, "a statement was not finalized");
    sqlite3_free(image);
    free(text);
    return 0;
}
