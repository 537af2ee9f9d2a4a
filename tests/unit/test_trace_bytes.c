/* crc32c, sha256, pattern: what the formats need and libc has not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "formats/trace/crc32c.h"
#include "formats/trace/pattern.h"
#include "formats/trace/sha256.h"

static uint32_t crc_bit_by_bit(const uint8_t *bytes, size_t size)
{
    uint32_t crc = ~0u;

    while (size--) {
        crc ^= *bytes++;
        for (int i = 0; i < 8; i++)
            crc = crc >> 1 ^ (0x82f63b78u & (0u - (crc & 1)));
    }
    return ~crc;
}

static void test_crc32c(void **state)
{
    (void)state;
    static uint8_t bytes[100000];
    static const size_t sizes[] = {0,    1,     7,     8,     9,     3071,  3072,
                                   3073, 32767, 32768, 32769, 99999, 100000};

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + (i >> 8));
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint32_t whole = crc_bit_by_bit(bytes, sizes[i]);
        assert_int_equal(crc32c(0, bytes, sizes[i]), whole);
        size_t part = sizes[i] / 3;
        assert_int_equal(crc32c(crc32c(0, bytes, part), bytes + part, sizes[i] - part), whole);
    }
}

static void check_sha256(const void *bytes, size_t size, const char *expected)
{
    uint8_t digest[SHA256_SIZE];
    char text[2 * SHA256_SIZE + 1];

    sha256(bytes, size, digest);
    for (int i = 0; i < SHA256_SIZE; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(text, expected);
}

static void test_sha256(void **state)
{
    (void)state;
    static char million[1000000];

    memset(million, 'a', sizeof million);
    check_sha256("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_sha256("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
                 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    check_sha256(million, sizeof million,
                 "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void test_globs(void **state)
{
    (void)state;
    assert_true(pattern_matches("*.py", "/a/b/c.py"));
    assert_true(pattern_matches("c.py", "/a/b/c.py"));
    assert_false(pattern_matches("b", "/a/b/c.py"));
    assert_true(pattern_matches("/a/*.py", "/a/b/c.py"));
    assert_true(pattern_matches("<*>", "<string>"));
    assert_true(pattern_matches("re:/b/.*y$", "/a/b/c.py"));
    assert_false(pattern_matches("re:^b", "/a/b/c.py"));
    assert_false(pattern_matches("re:(", "("));
}

static struct pattern_list *list_of(const char *patterns)
{
    struct pattern_list *list = pattern_list_new();
    char copy[200], *word, *rest = copy, why[100];

    assert_non_null(list);
    snprintf(copy, sizeof copy, "%s", patterns);
    while ((word = strsep(&rest, " ")) && *word)
        assert_int_equal(pattern_list_add(list, *word == '+', word + 1, why, sizeof why), 0);
    return list;
}

static void check_list(const char *patterns, const char *path, bool included)
{
    struct pattern_list *list = list_of(patterns);

    assert_int_equal(pattern_list_includes(list, path), included);
    pattern_list_free(list);
}

static void test_lists(void **state)
{
    (void)state;
    check_list("", "/a.py", true);
    check_list("+a.py", "/a.py", true);
    check_list("+a.py", "/b.py", false);
    check_list("-a.py", "/b.py", true);
    check_list("-a.py", "/a.py", false);
    check_list("-*.py +a.py", "/a.py", true);
    check_list("+a.py -*.py", "/a.py", false);
    check_list("+a.py -*.py", "/a.txt", true);
}

static void test_bad_expression(void **state)
{
    (void)state;
    struct pattern_list *list = pattern_list_new();
    char why[100] = "";

    assert_int_equal(pattern_list_add(list, true, "re:(", why, sizeof why), -1);
    assert_true(why[0]);
    assert_true(pattern_list_is_empty(list));
    pattern_list_free(list);
    pattern_list_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc32c),         cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_globs),          cmocka_unit_test(test_lists),
        cmocka_unit_test(test_bad_expression),
    };
    return cmocka_run_group_tests_name("trace_bytes", tests, NULL, NULL);
}
