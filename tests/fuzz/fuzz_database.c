/* fuzz_database.c - any bytes as a database that pyanalyze is given: opened as the command opens
 * it, every format written, its tables queried. */
#include "analyzer/command.h"
#include "analyzer/events_table.h"
#include "analyzer/sql_functions.h"
#include "formats/error.h"
#include "tests/fuzz/checks.h"
#include "tests/fuzz/fuzz.h"

enum { STEPS_MAX = 3000 }; /* thousands of SQLite's instructions: a file may hold endless loops */

static int count_steps(void *steps)
{
    return ++*(unsigned *)steps > STEPS_MAX;
}

static void check_database(sqlite3 *db, uint32_t choice)
{
    unsigned steps = 0;

    sqlite3_progress_handler(db, 1000, count_steps, &steps);
    if (sql_functions_register(db) == SQLITE_OK && events_table_register(db, NULL, 0) == SQLITE_OK)
        check_queries(db,
                      "SELECT * FROM functions JOIN files USING (file_id); SELECT count(*), "
                      "sum(self_ns), median(hits) FROM lines; SELECT * FROM edges; SELECT * FROM "
                      "contexts; SELECT * FROM marks; SELECT * FROM pragma_integrity_check",
                      (int)(choice >> 5) % 4);
    steps = 0;
    check_formats(db, choice);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct error err = {.usage = 0};
    struct command command = {.database = scratch_write("profile.db", bytes, size)};

    if (command_open_database(&command, &err) < 0)
        check_error(&err);
    else
        check_database(command.db, fuzz_sum(bytes, size));
    FUZZ_CLAIM(sqlite3_close(command.db) == SQLITE_OK, "a statement was not finalized");
    return 0;
}
