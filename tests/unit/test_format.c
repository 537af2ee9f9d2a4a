/* The table of formats: found by name, guessed from names of files, and what --file matches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "formats/format.h"

static void every_format_is_found_by_its_name(void **state)
{
    (void)state;
    for (size_t i = 0; formats[i] != NULL; i++) {
        assert_ptr_equal(format_find(formats[i]->name), formats[i]);
        assert_non_null(formats[i]->write);
        assert_non_null(formats[i]->recognize);
        assert_non_null(formats[i]->suffixes);
        assert_true(strlen(formats[i]->summary) > 0);
    }
    assert_null(format_find("pdf"));
    assert_null(format_find(""));
}

static void names_of_files_say_the_format(void **state)
{
    static const struct {
        const char *path;
        const char *format;
    } cases[] = {
        {"callgrind.out.4242", "callgrind"},
        {"/x/cachegrind.out.app", "callgrind"},
        {"app.svg", "flamegraph"},
        {"app.trace.json", "chrometrace"},
        {"app.json", NULL},
        {"app.speedscope.json", "speedscope"},
        {"app.speedscope", "speedscope"},
        {"coverage.info", "lcov"},
        {"app.lcov", "lcov"},
        {"dir/app.folded", "folded"},
        {"src.zip", "zip"},
        {"app.pstats", "pstats"},
        {"app.prof", "pstats"},
        {"report.txt", "annotate"},
        {"a.b/c", NULL},
        {".svg", NULL},
        {"callgrind.out.", NULL},
        {"x.callgrind.out.1", NULL},
        {"app.svg/", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct format *format = format_guess(cases[i].path);

        if (cases[i].format == NULL) {
            assert_null(format);
        } else {
            assert_non_null(format);
            assert_string_equal(format->name, cases[i].format);
        }
    }
}

static void no_pattern_matches_all_and_one_of_several_is_enough(void **state)
{
    static const char *const patterns[] = {"app.py", "/usr/*/json/*", "re:^/opt/.*[0-9]", NULL};
    static const char *const none[] = {NULL};

    (void)state;
    assert_true(format_file_matches(NULL, "/anything"));
    assert_false(format_file_matches(none, "/anything"));
    assert_true(format_file_matches(patterns, "/home/ann/app.py"));
    assert_true(format_file_matches(patterns, "/usr/lib/python3.11/json/decoder.py"));
    assert_true(format_file_matches(patterns, "/opt/x/y2"));
    assert_false(format_file_matches(patterns, "/home/ann/other.py"));
}

static void the_last_pattern_that_fits_decides(void **state)
{
    static const char *const hides[] = {"!/usr/*", "/usr/*/json/*", NULL};
    static const char *const shows[] = {"*.py", "!app.py", NULL};

    (void)state;
    assert_true(format_file_matches(hides, "/home/ann/app.py"));
    assert_false(format_file_matches(hides, "/usr/lib/os.py"));
    assert_true(format_file_matches(hides, "/usr/lib/json/decoder.py"));
    assert_true(format_file_matches(shows, "/home/ann/other.py"));
    assert_false(format_file_matches(shows, "/home/ann/app.py"));
    assert_false(format_file_matches(shows, "/home/ann/text"));
}

static bool recognizes(const char *format, const char *head)
{
    return format_find(format)->recognize((const unsigned char *)head, (int)strlen(head));
}

static void formats_know_their_own_files(void **state)
{
    static const char *const heads[][2] = {
        {"annotate", "Command line: python3 app.py\nTotal duration: 1 ms\n"},
        {"callgrind", "# callgrind format\nversion: 1\n"},
        {"flamegraph",
         "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" "},
        {"folded", "<module> (app.py:1);main (app.py:48) 18765\nmore"},
        {"zip", "PK\3\4"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        for (size_t j = 0; j < sizeof heads / sizeof heads[0]; j++)
            assert_int_equal(recognizes(heads[i][0], heads[j][1]), i == j);
        assert_false(recognizes(heads[i][0], "import sys\nprint(sys.argv)\n"));
        assert_false(recognizes(heads[i][0], "\177ELF\2\1\1"));
        assert_false(recognizes(heads[i][0], ""));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_is_found_by_its_name),
        cmocka_unit_test(names_of_files_say_the_format),
        cmocka_unit_test(no_pattern_matches_all_and_one_of_several_is_enough),
        cmocka_unit_test(the_last_pattern_that_fits_decides),
        cmocka_unit_test(formats_know_their_own_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
