/* Ticks to ns: every way to a stamp gives floor(ticks num / den). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analyzer/clock.h"

static uint64_t random_state = 42;

static uint64_t random_below(uint64_t limit)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (random_state >> 20) % limit;
}

static int64_t exact(const struct clock *clock, uint64_t ticks)
{
    if (ticks <= clock->origin)
        return 0;
    return (int64_t)((unsigned __int128)(ticks - clock->origin) * clock->num / clock->den);
}

static void test_hand_is_exact(void **state)
{
    (void)state;
    static const uint64_t rates[][2] = {
        {1, 1}, {1, 3}, {1000000007, 2599999999}, {123456789012345, 320987654321987}};

    for (size_t r = 0; r < sizeof rates / sizeof *rates; r++)
        for (unsigned shift = 0; shift <= 16; shift += 4) {
            struct clock clock;
            struct clock_hand hand;
            uint64_t ticks = 5000;
            clock_init(&clock, 1000, rates[r][0], rates[r][1], shift);
            clock_hand_init(&hand, &clock, ticks);
            for (int i = 0; i < 20000; i++) {
                uint64_t units = random_below(i % 50 ? 256 : 100000);
                int64_t before = hand.ns, passed = clock_hand_advance(&hand, units);
                ticks += units << shift;
                assert_true(hand.ns == exact(&clock, ticks));
                assert_true(clock_ns(&clock, ticks) == hand.ns);
                assert_true(before + passed == hand.ns);
            }
        }
}

static void test_before_the_origin(void **state)
{
    (void)state;
    struct clock clock;
    struct clock_hand hand;

    clock_init(&clock, 1000, 1, 1, 0);
    clock_hand_init(&hand, &clock, 900);
    assert_int_equal(hand.ns, 0);
    assert_int_equal(clock_hand_advance(&hand, 60), 0);
    assert_int_equal(clock_hand_advance(&hand, 60), 20);
    assert_int_equal(clock_hand_advance(&hand, 5), 5);
    assert_int_equal(clock_ns(&clock, 999), 0);
}

static void test_never_back(void **state)
{
    (void)state;
    struct clock clock;
    struct clock_hand hand;

    clock_init(&clock, 0, 1, 2, 0);
    clock_hand_init(&hand, &clock, 101);
    clock_hand_set(&hand, &clock, 51);
    assert_int_equal(hand.ns, 50);
    assert_int_equal(clock_hand_advance(&hand, 49), 0);
    assert_int_equal(clock_hand_advance(&hand, 2), 1);
    assert_int_equal(hand.ns, 51);
    clock_hand_set(&hand, &clock, 205);
    assert_int_equal(hand.ns, 102);
}

static void test_limits(void **state)
{
    (void)state;
    struct clock clock;
    struct clock_hand hand;

    clock_init(&clock, 0, UINT64_MAX, 1, 16);
    clock_hand_init(&hand, &clock, 0);
    for (int i = 0; i < 1000; i++)
        assert_true(clock_hand_advance(&hand, i % 2 ? UINT64_MAX : 255) >= 0);
    assert_true(hand.ns <= CLOCK_MAX_NS);
    clock_init(&clock, UINT64_MAX, 1, UINT64_MAX, 16);
    clock_hand_init(&hand, &clock, UINT64_MAX);
    assert_int_equal(clock_hand_advance(&hand, UINT64_MAX), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hand_is_exact),
        cmocka_unit_test(test_before_the_origin),
        cmocka_unit_test(test_never_back),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
