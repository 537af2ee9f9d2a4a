/* The one error: the first wins, one printable line. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "formats/error.h"

static void the_first_error_wins(void **state)
{
    struct error err = {.usage = 0};

    (void)state;
    assert_int_equal(error_set(&err, "%s: offset %d", "a.bin", 7), -1);
    assert_int_equal(error_set_usage(&err, "later"), -1);
    assert_string_equal(err.text, "a.bin: offset 7");
    assert_false(err.usage);
}

static void wrong_use_is_told_apart(void **state)
{
    struct error err = {.usage = 0};

    (void)state;
    assert_int_equal(error_set_usage(&err, "no"), -1);
    assert_true(err.usage);
}

static void what_could_fool_a_terminal_is_escaped(void **state)
{
    static const struct {
        const char *name, *shown;
    } cases[] = {
        {"a\nb\tc", "a\\x0Ab\\x09c"},
        {"\033[2J", "\\x1B[2J"},
        {"\x7f", "\\x7F"},
        {"\xc2\x9b", "\\xC2\\x9B"},          /* CSI as one character */
        {"\xe2\x80\xae", "\\xE2\\x80\\xAE"}, /* right-to-left override */
        {"\xff\xc3", "\\xFF\\xC3"},          /* no UTF-8 */
        {"\xed\xb2\x80", "\\xED\\xB2\\x80"}, /* a lone surrogate */
        {"caf\xc3\xa9 \xe6\xbc\xa2 \xf0\x9f\x90\x8d", "caf\xc3\xa9 \xe6\xbc\xa2 \xf0\x9f\x90\x8d"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error err = {.usage = 0};

        error_set(&err, "%s", cases[i].name);
        assert_string_equal(err.text, cases[i].shown);
    }
}

/* A cut is between characters, and nothing is written behind the end. */
static void long_texts_are_cut(void **state)
{
    struct {
        struct error err;
        char guard[8];
    } box = {.guard = "guarded"};
    char name[2000];

    (void)state;
    for (size_t i = 0; i + 2 < sizeof name; i += 2)
        memcpy(name + i, "\xc3\xa9", 2);
    name[sizeof name - 1] = name[sizeof name - 2] = '\0';
    error_set(&box.err, "%s", name);
    assert_int_equal(strlen(box.err.text) % 2, 0);
    assert_in_range(strlen(box.err.text), 1000, sizeof box.err.text - 1);
    memset(name, 1, sizeof name - 1);
    box.err.text[0] = '\0';
    error_set(&box.err, "%s", name);
    assert_int_equal(strlen(box.err.text) % 4, 0);
    assert_string_equal(box.guard, "guarded");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_error_wins),
        cmocka_unit_test(wrong_use_is_told_apart),
        cmocka_unit_test(what_could_fool_a_terminal_is_escaped),
        cmocka_unit_test(long_texts_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
