/* fuzz_rows.c - a sound database with any rows (rows.h): every format written. */
#include "formats/error.h"
#include "tests/fuzz/checks.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    sqlite3 *db = rows_read(bytes, size);

    check_formats(db, fuzz_sum(bytes, size));
    FUZZ_CLAIM(sqlite3_close(db) == SQLITE_OK, "a statement was not finalized");
    return 0;
}
