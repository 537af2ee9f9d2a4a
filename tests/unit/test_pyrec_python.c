/* Which interpreter is found, and what it is called; and the names of traces. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "recorder/pyrec_python.h"
#include "recorder/pyrec_trace.h"

static char folder[] = "/tmp/pyrec-unit-XXXXXX";

static void put(const char *path, mode_t mode)
{
    int fd = open(path, O_CREAT | O_WRONLY, mode);

    assert_true(fd >= 0);
    close(fd);
}

/* The current folder is a fresh one with a few interpreters in it. */
static int set_up(void **state)
{
    static const char *const folders[] = {"own", "venv", "venv/bin",  "old", "old/bin", "a",
                                          "b",   "c",    "c/python3", "pip", "pip/bin"};

    (void)state;
    strcpy(folder, "/tmp/pyrec-unit-XXXXXX");
    if (mkdtemp(folder) == NULL || chdir(folder) < 0)
        return -1;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        mkdir(folders[i], 0755);
    put("own/python3", 0755);
    put("venv/bin/python3", 0755);
    put("venv/bin/python", 0755);
    put("old/bin/python", 0755);
    put("b/python3", 0755);
    put("a/plain", 0644);
    put("b/plain", 0755);
    put("a/only", 0644);
    put("pip/bin/python3", 0755);
    put("pip/pyvenv.cfg", 0644);
    put("here", 0755);
    unsetenv("PYREC_PYTHON");
    unsetenv("VIRTUAL_ENV");
    setenv("PATH", "nowhere:a:c:b", 1);
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *position)
{
    (void)status;
    (void)kind;
    (void)position;
    return remove(path);
}

static int tear_down(void **state)
{
    (void)state;
    return chdir("/") < 0 ? -1 : nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void assert_found(const char *option, const char *own, const char *path, const char *name)
{
    struct pyrec_python python;
    struct pyrec_error err = {0};

    assert_int_equal(pyrec_python_find(option, own, &python, &err), 0);
    assert_string_equal(python.path, path);
    assert_string_equal(python.name, name);
}

static void assert_not_found(const char *option, enum pyrec_status status)
{
    struct pyrec_python python;
    struct pyrec_error err = {0};

    assert_int_equal(pyrec_python_find(option, "own", &python, &err), -1);
    assert_int_equal(err.status, status);
}

static void the_order(void **state)
{
    (void)state;
    assert_found(NULL, "own", "b/python3", "python3");
    setenv("VIRTUAL_ENV", "nowhere", 1);
    assert_found(NULL, "own", "b/python3", "python3");
    setenv("VIRTUAL_ENV", "old", 1);
    assert_found(NULL, "own", "old/bin/python", "old/bin/python");
    setenv("VIRTUAL_ENV", "venv/", 1);
    assert_found(NULL, "own", "venv/bin/python3", "venv/bin/python3");
    assert_found(NULL, "pip/bin", "pip/bin/python3", "pip/bin/python3");
    setenv("PYREC_PYTHON", "", 1);
    assert_found(NULL, "own", "venv/bin/python3", "venv/bin/python3");
    setenv("PYREC_PYTHON", "b/plain", 1);
    assert_found(NULL, "pip/bin", "b/plain", "b/plain");
    assert_found("python3", "pip/bin", "b/python3", "python3");
}

static void names(void **state)
{
    (void)state;
    assert_found("./here", "own", "./here", "./here");
    assert_found("plain", "own", "b/plain", "plain"); /* the first may not be executed */
    assert_found("venv", "own", "venv/bin/python3", "venv/bin/python3");
    assert_found("./old/", "own", "./old/bin/python", "./old/bin/python");
    setenv("PATH", ":b", 1);
    assert_found("here", "own", "./here", "here");
    setenv("PATH", "b:", 1);
    assert_found("here", "own", "./here", "here");
    setenv("PATH", "a//:b/", 1);
    assert_found("python3", "own", "b/python3", "python3");
}

static void failures(void **state)
{
    char longest[2 * PATH_MAX];

    (void)state;
    assert_not_found("nosuch", PYREC_NOT_FOUND);
    assert_not_found("./nosuch", PYREC_NOT_FOUND);
    assert_not_found("here/x", PYREC_NOT_FOUND);
    assert_not_found("only", PYREC_NOT_EXECUTABLE);
    assert_not_found("a/only", PYREC_NOT_EXECUTABLE);
    assert_not_found("./a", PYREC_NOT_FOUND);
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_not_found(longest, PYREC_NOT_FOUND);
    longest[PATH_MAX - 2] = '\0';
    assert_not_found(longest, PYREC_NOT_FOUND);
    setenv("PATH", "", 1);
    assert_not_found(NULL, PYREC_NOT_FOUND);
    unsetenv("PATH");
    assert_not_found("nosuch", PYREC_NOT_FOUND);
}

static void names_of_traces(void **state)
{
    static const struct {
        const char *pattern, *expected;
        int result;
    } cases[] = {
        {"t.bin", "t.bin", 0}, {"%p-%n", "12-3", 1}, {"100%%", "100%", 0}, {"%n%n", "33", 1},
        {"%", NULL, -1},       {"%x", NULL, -1},     {"a%%%", NULL, -1},   {"%%n", "%n", 0},
    };
    char name[64];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(pyrec_trace_expand(cases[i].pattern, 12, 3, name, sizeof name),
                         cases[i].result);
        if (cases[i].expected != NULL)
            assert_string_equal(name, cases[i].expected);
    }
    for (size_t size = 1; size <= 8; size++)
        assert_int_equal(pyrec_trace_expand("ab%pcd%n", 12, 3, name, size), size == 8 ? 1 : -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failures, set_up, tear_down),
        cmocka_unit_test(names_of_traces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
