/* Text for people: escapes, widths, numbers, and what happens to bytes that are none of these. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "formats/text.h"

struct pair {
    const char *bytes;
    size_t size;
    const char *expected;
};

#define PAIR(bytes, expected)                                                                      \
    {                                                                                              \
        bytes, sizeof(bytes) - 1, expected                                                         \
    }

static void everything_that_is_not_printable_is_escaped(void **state)
{
    static const struct pair pairs[] = {
        PAIR("plain text", "plain text"),
        PAIR("tab\tline\nreturn\r", "tab\\tline\\nreturn\\r"),
        PAIR("nul\0esc\x1b[31m\x7f", "nul\\x00esc\\x1b[31m\\x7f"),
        PAIR("\xc2\x9b"
             "c1",
             "\\x9bc1"),
        PAIR("bidi \xe2\x80\xae and \xe2\x81\xa6", "bidi \\u202e and \\u2066"),
        PAIR("\xef\xbb\xbf\xe2\x80\x8b", "\\ufeff\\u200b"),
        PAIR("\xef\xbf\xbe\xef\xbf\xbf", "\\ufffe\\uffff"),
        PAIR("\xff\xc0\xaf latin \xe9", "\\xff\\xc0\\xaf latin \\xe9"),
        PAIR("\xed\xb2\x80", "\\xed\\xb2\\x80"),          /* a lone surrogate */
        PAIR("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"), /* above U+10FFFF */
        PAIR("\xe4\xb8", "\\xe4\\xb8"),                   /* cut short */
        PAIR("世界 \xf0\x9f\xa6\x80", "世界 \xf0\x9f\xa6\x80"),
        PAIR("\xf3\xa0\x81\x81", "\\U000e0041"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct text text = {0};

        text_add_printable(&text, pairs[i].bytes, pairs[i].size);
        assert_string_equal(text_string(&text), pairs[i].expected);
        text_fini(&text);
    }
}

static void every_byte_in_every_place_gives_printable_utf8(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        for (int place = 0; place < 3; place++) {
            char bytes[] = "\xe4\xb8\x96";
            struct text text = {0};
            const char *at, *end;

            bytes[place] = (char)byte;
            text_add_printable(&text, bytes, 3);
            at = text.at;
            end = text.at + text.size;
            while (at < end)
                assert_true(text_is_printable(text_next(&at, end)));
            text_fini(&text);
        }
    }
}

static void widths_are_those_of_a_terminal(void **state)
{
    (void)state;
    assert_int_equal(text_width("abc", 3), 3);
    assert_int_equal(text_width("世界", strlen("世界")), 4);
    assert_int_equal(text_width("e\xcc\x81", 3), 1);        /* a combining accent */
    assert_int_equal(text_width("\xf0\x9f\xa6\x80", 4), 2); /* a crab */
    assert_int_equal(text_width("ｗｉｄｅ", strlen("ｗｉｄｅ")), 8);
    assert_int_equal(text_width("é…", strlen("é…")), 2);
    assert_int_equal(text_character_width(0x10FFFD), 1);
}

static void a_wide_character_is_not_cut_in_half(void **state)
{
    static const char text[] = "a世界";

    (void)state;
    assert_int_equal(text_fit(text, strlen(text), 0), 0);
    assert_int_equal(text_fit(text, strlen(text), 1), 1);
    assert_int_equal(text_fit(text, strlen(text), 2), 1);
    assert_int_equal(text_fit(text, strlen(text), 3), 4);
    assert_int_equal(text_fit(text, strlen(text), 99), 7);
}

static void numbers_have_their_point_in_the_right_place(void **state)
{
    static const struct {
        uint64_t value;
        int decimals;
        const char *expected;
    } cases[] = {
        {0, 0, "0"},
        {0, 3, "0.000"},
        {7, 3, "0.007"},
        {1234, 3, "1.234"},
        {10, 1, "1.0"},
        {123456, 0, "123456"},
        {UINT64_MAX, 6, "18446744073709.551615"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct text text = {0};

        text_add_fixed(&text, cases[i].value, cases[i].decimals);
        assert_string_equal(text_string(&text), cases[i].expected);
        text_fini(&text);
    }
}

static void xml_entities_replace_markup(void **state)
{
    struct text text = {0};

    (void)state;
    text_add_xml(&text, "<a href=\"x\" b='y'>&]]></a>");
    assert_string_equal(text_string(&text),
                        "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;]]&gt;&lt;/a&gt;");
    text_fini(&text);
}

static void a_text_that_is_too_large_fails_and_stays_failed(void **state)
{
    struct text text = {0};

    (void)state;
    text_add_string(&text, "kept");
    text_add(&text, "x", SIZE_MAX / 2);
    assert_true(text.failed);
    text_add_string(&text, "lost");
    assert_true(text.failed);
    assert_string_equal(text_string(&text), "kept");
    text_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_that_is_not_printable_is_escaped),
        cmocka_unit_test(every_byte_in_every_place_gives_printable_utf8),
        cmocka_unit_test(widths_are_those_of_a_terminal),
        cmocka_unit_test(a_wide_character_is_not_cut_in_half),
        cmocka_unit_test(numbers_have_their_point_in_the_right_place),
        cmocka_unit_test(xml_entities_replace_markup),
        cmocka_unit_test(a_text_that_is_too_large_fails_and_stays_failed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
