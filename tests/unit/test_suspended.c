/* The table of frames that will come back, against a plain array. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "recorder/suspended.h"

#define FRAMES 5000

static void a_frame_is_found_with_what_was_stored(void **state)
{
    int frame = 0;

    (void)state;
    assert_null(suspended_find(&frame));
    suspended_store(&frame)->activation = 7;
    assert_int_equal(suspended_find(&frame)->activation, 7);
    suspended_store(&frame)->activation = 8;
    assert_int_equal(suspended_find(&frame)->activation, 8);
    suspended_remove(&frame);
    assert_null(suspended_find(&frame));
    suspended_store(&frame);
    suspended_clear();
    assert_null(suspended_find(&frame));
}

static void any_order_of_storing_and_removing_agrees_with_an_array(void **state)
{
    static char frames[FRAMES * 16];
    static uint64_t expected[FRAMES];

    (void)state;
    srand(1);
    for (int i = 0; i < 200000; i++) {
        int k = rand() % FRAMES;

        if (rand() % 2) {
            expected[k] = (uint64_t)i + 1;
            suspended_store(frames + 16 * k)->activation = expected[k];
        } else {
            expected[k] = 0;
            suspended_remove(frames + 16 * k);
        }
    }
    for (int k = 0; k < FRAMES; k++) {
        struct suspended *found = suspended_find(frames + 16 * k);

        assert_int_equal(found != NULL ? found->activation : 0, expected[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_is_found_with_what_was_stored),
        cmocka_unit_test(any_order_of_storing_and_removing_agrees_with_an_array),
    };

    return cmocka_run_group_tests_name("suspended", tests, NULL, NULL);
}
