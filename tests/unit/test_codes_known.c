/* What tells definitions of code apart, and what is remembered of them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "recorder/codes_known.h"

static const uint8_t key[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static struct codes_digest digest_of(const void *bytes, size_t size)
{
    return codes_known_digest(&(struct codes_part){bytes, size}, 1, key);
}

static int is_same(struct codes_digest x, struct codes_digest y)
{
    return x.a == y.a && x.b == y.b;
}

/* Neither half alone may be the same, either. */
static void every_bit_and_every_length_counts(void **state)
{
    uint8_t bytes[70] = {0};
    struct codes_digest before[71];

    (void)state;
    for (size_t size = 0; size <= sizeof bytes; size++) {
        struct codes_digest whole = before[size] = digest_of(bytes, size);

        for (size_t other = 0; other < size; other++)
            assert_true(before[other].a != whole.a && before[other].b != whole.b);
        for (size_t bit = 0; bit < 8 * size; bit++) {
            struct codes_digest changed;

            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            changed = digest_of(bytes, size);
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_true(changed.a != whole.a && changed.b != whole.b);
        }
        assert_true(is_same(digest_of(bytes, size), whole));
    }
}

static void parts_that_join_to_the_same_bytes_differ(void **state)
{
    static const char text[] = "nameoffunctionoftheclass";
    struct codes_digest found[sizeof text];

    (void)state;
    for (size_t i = 0; i < sizeof text; i++) {
        struct codes_part parts[] = {{text, i}, {text + i, sizeof text - 1 - i}};

        found[i] = codes_known_digest(parts, 2, key);
        for (size_t j = 0; j < i; j++)
            assert_false(is_same(found[i], found[j]));
    }
}

static void the_key_counts(void **state)
{
    const struct codes_part part = {"text", 4};
    uint8_t other[16];

    (void)state;
    for (int bit = 0; bit < 128; bit++) {
        memcpy(other, key, sizeof other);
        other[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(is_same(codes_known_digest(&part, 1, other), digest_of("text", 4)));
    }
}

static void a_number_is_found_where_it_was_put(void **state)
{
    enum { COUNT = 40000 };

    (void)state;
    for (uint32_t i = 1; i <= COUNT; i++) {
        uint32_t *place = codes_known_place(digest_of(&i, sizeof i));

        assert_non_null(place);
        assert_int_equal(*place, 0);
        *place = i;
    }
    for (uint32_t i = 1; i <= COUNT; i++)
        assert_int_equal(*codes_known_place(digest_of(&i, sizeof i)), i);
    codes_known_forget();
    for (uint32_t i = 1; i <= COUNT; i += 1000)
        assert_int_equal(*codes_known_place(digest_of(&i, sizeof i)), 0);
    codes_known_forget();
}

/* However many come: what is found is never another's number. */
static void more_than_are_remembered(void **state)
{
    uint32_t found = 0;

    (void)state;
    for (uint32_t i = 1; i <= 300000; i++) {
        uint32_t again = i - i % 7;
        uint32_t *place = codes_known_place(digest_of(&i, sizeof i));

        *place = i;
        place = codes_known_place(digest_of(&again, sizeof again));
        assert_true(*place == 0 || *place == again);
        found += *place != 0;
    }
    assert_in_range(found, 290000, 300000);
    codes_known_forget();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bit_and_every_length_counts),
        cmocka_unit_test(parts_that_join_to_the_same_bytes_differ),
        cmocka_unit_test(the_key_counts),
        cmocka_unit_test(a_number_is_found_where_it_was_put),
        cmocka_unit_test(more_than_are_remembered),
    };

    return cmocka_run_group_tests_name("codes known", tests, NULL, NULL);
}
