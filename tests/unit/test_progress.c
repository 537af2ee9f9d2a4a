/* What the user is told while it takes long: nothing within a second, nothing into a pipe, all of
 * it with -v. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/progress.h"

static char told[4096];

/* Runs `act` with standard error going to `told`. */
static void listen(void (*act)(void))
{
    FILE *file = tmpfile();
    int before = dup(STDERR_FILENO);
    ssize_t size;

    assert_non_null(file);
    fflush(stderr);
    dup2(fileno(file), STDERR_FILENO);
    act();
    fflush(stderr);
    dup2(before, STDERR_FILENO);
    close(before);
    size = pread(fileno(file), told, sizeof told - 1, 0);
    assert_true(size >= 0);
    told[size] = '\0';
    fclose(file);
}

/* A stage of which a second has gone by if `late`, on a terminal if `terminal`. */
static void run(bool terminal, bool late, bool verbose)
{
    struct progress progress;

    progress_init(&progress, verbose);
    progress.terminal = terminal;
    progress_begin(&progress, "analyze");
    if (late)
        progress.next_update = 0;
    progress_update(&progress, 1, 4);
    progress_update(&progress, 2, 4);
    progress_end(&progress, "7 events");
}

static void quick(void)
{
    run(true, false, false);
}

static void piped(void)
{
    run(false, true, false);
}

static void late(void)
{
    run(true, true, false);
}

static void verbose(void)
{
    run(false, false, true);
}

static void quick_work_and_pipes_are_told_nothing(void **state)
{
    (void)state;
    listen(quick);
    assert_string_equal(told, "");
    listen(piped);
    assert_string_equal(told, "");
}

/* The line is rewritten, not oftener than the eye sees, and wiped at the end. */
static void long_work_shows_one_line(void **state)
{
    (void)state;
    listen(late);
    assert_string_equal(told, "\r\033[Kanalyze:  25 %\r\033[K");
}

static void verbose_tells_the_cost(void **state)
{
    (void)state;
    listen(verbose);
    assert_non_null(strstr(told, "pyanalyze: analyze: 0.00"));
    assert_non_null(strstr(told, " MB, 7 events\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quick_work_and_pipes_are_told_nothing),
        cmocka_unit_test(long_work_shows_one_line),
        cmocka_unit_test(verbose_tells_the_cost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
