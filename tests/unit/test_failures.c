/* No memory: every allocation of an analysis, of every format and of a query fails, once and from
 * there on. What comes out is the same as ever or one line that says why nothing does; what was
 * there before is as it was, no file is left over, and no memory is lost.
 *
 * The functions below take the place of libc's for SQLite, libzip and libc itself as well. Under
 * AddressSanitizer, which has its own, there is nothing to be done here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "analyzer/analyze.h"
#include "analyzer/command.h"
#include "analyzer/events_table.h"
#include "analyzer/sql.h"
#include "analyzer/sql_functions.h"
#include "analyzer/sql_rows.h"
#include "formats/error.h"
#include "formats/format.h"
#include "formats/output.h"
#include "tests/unit/small_trace.h"

#if defined __has_feature
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

#if defined __SANITIZE_ADDRESS__

int main(void)
{
    puts("[  SKIPPED ] 1 test(s).");
    return 0;
}

#else

/* --- Memory --- */

static struct {
    bool on, always;
    uint64_t at, count; /* the at-th fails; how many there were */
    int64_t live;       /* blocks that are allocated */
} memory;

/* glibc's own names: looking the others up allocates. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void __libc_free(void *block);

/* Ours, seen by all libraries, and by names of which the compiler knows nothing: it takes malloc()
 * to change no variable. */
#pragma GCC visibility push(default)
void *failing_malloc(size_t size) __asm__("malloc");
void *failing_calloc(size_t count, size_t size) __asm__("calloc");
void *failing_realloc(void *block, size_t size) __asm__("realloc");
void failing_free(void *block) __asm__("free");
#pragma GCC visibility pop

static bool refuse(void)
{
    if (!memory.on)
        return false;
    uint64_t count = __atomic_add_fetch(&memory.count, 1, __ATOMIC_RELAXED);
    if (memory.at == 0 || (memory.always ? count < memory.at : count != memory.at))
        return false;
    errno = ENOMEM;
    return true;
}

static void *taken(void *block)
{
    __atomic_add_fetch(&memory.live, block != NULL, __ATOMIC_RELAXED);
    return block;
}

void *failing_malloc(size_t size)
{
    return refuse() ? NULL : taken(__libc_malloc(size));
}

void *failing_calloc(size_t count, size_t size)
{
    return refuse() ? NULL : taken(__libc_calloc(count, size));
}

void *failing_realloc(void *block, size_t size)
{
    if (refuse())
        return NULL;
    return block ? __libc_realloc(block, size) : taken(__libc_realloc(NULL, size));
}

void failing_free(void *block)
{
    __atomic_sub_fetch(&memory.live, block != NULL, __ATOMIC_RELAXED);
    __libc_free(block);
}

/* --- What is tried --- */

static const char old_text[] = "what was there before";

/* A folder with a trace outside of it and an output inside; a database for formats to read. */
struct place {
    struct small_trace trace;
    const char *path; /* of the trace */
    char folder[64], output[96], database[96];
    sqlite3 *db;
    const struct format *format;
    struct format_options options;
    unsigned workers;
};

typedef int attempt_function(struct place *place, struct error *err);

static int attempt_analysis(struct place *place, struct error *err)
{
    struct analyze_options options = {.workers = place->workers};
    const char *path = place->trace.path;
    sqlite3 *db = NULL;
    int status = analyze_traces(&path, 1, &options, place->output, &db, err);

    sqlite3_close(db);
    return status;
}

static int attempt_format(struct place *place, struct error *err)
{
    struct output *out = output_open_file(place->output, err);
    int status = out ? place->format->write(place->db, &place->options, out, err) : -1;

    if (status == 0)
        status = output_commit(out, err);
    output_close(out);
    return status;
}

/* The command's way to a database: opened, distrusted, a query over its events and sums. (No
 * regexp(): libc's regcomp() frees a block twice when memory runs out.) */
static int attempt_query(struct place *place, struct error *err)
{
    struct command command = {.database = place->database};
    const char *path = place->trace.path;
    struct sql_query query = {"--sql", NULL};
    struct output *out = output_open_file(place->output, err);
    int status = out ? command_open_database(&command, err) : -1;

    if (status == 0 && (events_table_register(command.db, &path, 1) != SQLITE_OK ||
                        sql_functions_register(command.db) != SQLITE_OK))
        status = error_set(err, "%s", sqlite3_errmsg(command.db));
    if (status == 0)
        status = sql_query_read(&query,
                                "CREATE TEMP TABLE t AS SELECT * FROM events; "
                                "SELECT * FROM t ORDER BY self_ns; "
                                "SELECT median(self_ns), percentile(hits, 90) FROM lines",
                                err);
    if (status == 0)
        status = sql_run(command.db, &query, 1, SQL_ROWS_JSON, out, err);
    if (status == 0)
        status = output_commit(out, err);
    sql_query_fini(&query);
    output_close(out);
    sqlite3_close(command.db);
    return status;
}

/* --- What must be so afterwards --- */

static void write_old(const struct place *place)
{
    FILE *out = fopen(place->output, "w");

    assert_non_null(out);
    assert_int_equal(fwrite(old_text, 1, sizeof old_text, out), sizeof old_text);
    assert_int_equal(fclose(out), 0);
}

/* A sum of the output's bytes; *size of them. */
static uint32_t read_output(const struct place *place, size_t *size)
{
    static uint8_t bytes[1 << 21];
    int fd = open(place->output, O_RDONLY);

    assert_true(fd >= 0);
    ssize_t got = read(fd, bytes, sizeof bytes);
    assert_true(got >= 0 && (size_t)got < sizeof bytes);
    close(fd);
    *size = (size_t)got;
    return crc32c(0, bytes, *size);
}

static void check_only_output(const struct place *place)
{
    DIR *dir = opendir(place->folder);
    struct dirent *entry;
    int found = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir)))
        found += entry->d_name[0] != '.' || strlen(entry->d_name) > 2;
    closedir(dir);
    assert_int_equal(found, 1);
}

static void check_failure(const struct place *place, const struct error *err)
{
    size_t size;

    assert_string_not_equal(err->text, "");
    assert_null(strchr(err->text, '\n'));
    assert_int_equal(read_output(place, &size),
                     crc32c(0, (const uint8_t *)old_text, sizeof old_text));
    check_only_output(place);
}

/* One attempt with the at-th allocation failing; the change of allocated blocks. */
static int64_t attempt(struct place *place, attempt_function *function, uint64_t at, bool always,
                       int *status, struct error *err)
{
    int64_t before = memory.live;

    err->text[0] = 0;
    memory.at = at;
    memory.always = always;
    memory.count = 0;
    memory.on = true;
    *status = function(place, err);
    memory.on = false;
    sqlite3_db_release_memory(place->db);
    return memory.live - before;
}

/* libzip 1.7 forgets a block when there is no memory for its hash table. */
static bool is_lost_by_libzip(int64_t lost, const struct error *err)
{
    return lost == 1 && strstr(err->text, "zip cannot be made");
}

/* Every allocation fails, once or from there on; `step` greater than 1: every so many. */
static void fail_all(struct place *place, attempt_function *function, uint64_t step)
{
    struct error err = {.usage = 0};
    size_t size, same_size;
    int status;

    for (int warm = 0; warm < 3; warm++) {
        attempt(place, function, 0, false, &status, &err);
        if (status < 0)
            fail_msg("%s", err.text);
    }
    uint64_t count = memory.count, failures = 0;
    uint32_t sum = read_output(place, &size);
    for (int always = 0; always < 2; always++) {
        write_old(place);
        for (uint64_t at = 1; at <= count; at += always ? 5 * step : step) {
            int64_t lost = attempt(place, function, at, always, &status, &err);
            if (lost != 0 && attempt(place, function, at, always, &status, &err) != 0 &&
                !is_lost_by_libzip(lost, &err))
                fail_msg("allocation %llu: %lld blocks are lost", (unsigned long long)at,
                         (long long)lost);
            failures += status < 0;
            if (status < 0) {
                check_failure(place, &err);
                continue;
            }
            if (function != attempt_analysis)
                assert_int_equal(read_output(place, &same_size), sum);
            check_only_output(place);
            write_old(place);
        }
    }
    assert_true(failures * 10 * step > count); /* else nothing was tried */
}

/* --- The tests --- */

static void begin(struct place *place)
{
    struct analyze_options options = {.workers = 1};
    struct error err = {.usage = 0};

    *place = (struct place){.options = FORMAT_OPTIONS_DEFAULT, .workers = 1};
    small_trace_make(&place->trace, false);
    strcpy(place->folder,
           access("/dev/shm", W_OK) == 0 ? "/dev/shm/pyrec-test-XXXXXX" : "/tmp/pyrec-test-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->output, sizeof place->output, "%s/output", place->folder);
    write_old(place);
    place->path = place->trace.path;
    snprintf(place->database, sizeof place->database, "%s.db", place->trace.path);
    assert_int_equal(analyze_traces(&place->path, 1, &options, place->database, &place->db, &err),
                     0);
    assert_int_equal(events_table_register(place->db, &place->path, 1), SQLITE_OK);
}

static void end(struct place *place)
{
    assert_int_equal(sqlite3_close(place->db), SQLITE_OK);
    unlink(place->output);
    unlink(place->database);
    assert_int_equal(rmdir(place->folder), 0);
    small_trace_drop(&place->trace);
}

static void test_analysis(void **state)
{
    (void)state;
    struct place place;

    begin(&place);
    fail_all(&place, attempt_analysis, 1);
    end(&place);
}

/* With threads of our own the count varies from run to run: the point is that they end. */
static void test_analysis_by_threads(void **state)
{
    (void)state;
    struct place place;
    struct error err;
    int status;

    begin(&place);
    place.workers = 4;
    for (uint64_t at = 1; at < 600; at += 3) {
        attempt(&place, attempt_analysis, at, at & 1, &status, &err);
        if (status < 0)
            assert_string_not_equal(err.text, "");
        check_only_output(&place);
    }
    end(&place);
}

static void test_formats(void **state)
{
    (void)state;
    int tried = 0;

    for (size_t i = 0; formats[i]; i++) {
        struct place place;
        struct error err = {.usage = 0};
        begin(&place);
        place.format = formats[i];
        place.options.min_percent = 0;
        if (attempt_format(&place, &err) == 0) { /* some are for other recordings */
            fail_all(&place, attempt_format, 1);
            tried++;
        }
        end(&place);
    }
    assert_true(tried > 10);
}

static void test_query(void **state)
{
    (void)state;
    struct place place;

    begin(&place);
    fail_all(&place, attempt_query, 1);
    end(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_analysis),
        cmocka_unit_test(test_analysis_by_threads),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_query),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
