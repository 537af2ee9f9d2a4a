/* Source texts as CPython splits and decodes them; names that are not UTF-8; arguments as they
 * would be typed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analyzer/shell_quote.h"
#include "analyzer/source_text.h"
#include "analyzer/utf8.h"

/* The lines of the bytes, each behind a '|'. */
static void check_sized(const char *bytes, size_t size, const char *expected)
{
    struct source_text *text = source_text_new((const uint8_t *)bytes, size);
    char found[1000] = "";
    struct trace_bytes line;

    assert_non_null(text);
    for (size_t i = 1; i <= source_text_line_count(text); i++) {
        assert_int_equal(source_text_line(text, i, &line), 0);
        strcat(found, "|");
        strncat(found, (const char *)line.at, line.size);
    }
    assert_int_equal(source_text_line(text, 0, &line), 0);
    assert_int_equal(line.size, 0);
    assert_int_equal(source_text_line(text, 99, &line), 0);
    assert_int_equal(line.size, 0);
    source_text_free(text);
    assert_string_equal(found, expected);
}

#define CHECK(bytes, expected) check_sized(bytes, sizeof bytes - 1, expected)

static void test_lines(void **state)
{
    (void)state;
    CHECK("", "");
    CHECK("a", "|a");
    CHECK("a\n", "|a");
    CHECK("a\nb", "|a|b");
    CHECK("a\r\nb\rc\n\nd", "|a|b|c||d");
    CHECK("a\fb\x1c"
          "c\xe2\x80\xa8"
          "d\xc2\x85"
          "e\v\n",
          "|a\fb\x1c"
          "c\xe2\x80\xa8"
          "d\xc2\x85"
          "e\v");
    CHECK("\xef\xbb\xbfx\ny\n", "|x|y");
}

static void test_encodings(void **state)
{
    (void)state;
    CHECK("# coding: latin-1\n\xe9", "|# coding: latin-1|\xc3\xa9");
    CHECK("#!/x\n# -*- coding: cp1252 -*-\n\x80", "|#!/x|# -*- coding: cp1252 -*-|\xe2\x82\xac");
    CHECK("# vim: set fileencoding=shift_jis :\n\x82\xa0",
          "|# vim: set fileencoding=shift_jis :|\xe3\x81\x82");
    CHECK("x = 1\n# coding: latin-1\n\xe9", "|x = 1|# coding: latin-1|\xef\xbf\xbd"); /* too late */
    CHECK("# coding: utf-8\n\xc3\xa9\xff", "|# coding: utf-8|\xc3\xa9\xef\xbf\xbd");
    CHECK("# coding: nonsense\n\xe9", "|# coding: nonsense|\xef\xbf\xbd");
    CHECK("# coding: ascii\na\xe9z", "|# coding: ascii|a\xef\xbf\xbdz");
    CHECK("# coding\n\xe9", "|# coding|\xef\xbf\xbd");
    CHECK("x = 'coding: latin-1'\n\xe9", "|x = 'coding: latin-1'|\xef\xbf\xbd");
}

static void check_utf8(const char *bytes, size_t size, const char *expected)
{
    struct trace_bytes in = {(const uint8_t *)bytes, size};
    size_t clean_size;
    char *clean = utf8_clean(in, &clean_size);

    assert_non_null(clean);
    assert_int_equal(clean_size, strlen(expected));
    assert_memory_equal(clean, expected, clean_size);
    assert_int_equal(utf8_is_valid(in), size == clean_size && memcmp(bytes, clean, size) == 0);
    free(clean);
}

#define U8(bytes, expected) check_utf8(bytes, sizeof bytes - 1, expected)
#define BAD "\xef\xbf\xbd"

static void test_utf8(void **state)
{
    (void)state;
    U8("abc", "abc");
    U8("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    U8("\xff"
       "a\x80",
       BAD "a" BAD);
    U8("\xc0\xaf", BAD BAD); /* too long */
    U8("\xe0\x80\xaf", BAD BAD BAD);
    U8("\xed\xa0\x80", BAD BAD BAD); /* a lone surrogate */
    U8("\xf4\x90\x80\x80", BAD BAD BAD BAD);
    U8("\xe2\x82", BAD BAD); /* cut */
    U8("\xf8\x88\x80\x80\x80", BAD BAD BAD BAD BAD);
}

static void test_shell_quote(void **state)
{
    (void)state;
    static const char list[] = "python3\0-c\0print('x y')\0\0$HOME\0\xc3\xa9";
    struct shell_quote quote = {0};
    static const char expected[] = "python3 -c 'print('\"'\"'x y'\"'\"')' '' '$HOME' \xc3\xa9";

    shell_quote_add_list(&quote, (struct trace_bytes){(const uint8_t *)list, sizeof list - 1});
    assert_int_equal(quote.size, sizeof expected - 1);
    assert_memory_equal(quote.text, expected, quote.size);
    free(quote.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_shell_quote),
    };
    return cmocka_run_group_tests_name("source_text", tests, NULL, NULL);
}
