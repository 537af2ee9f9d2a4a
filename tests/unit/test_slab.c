/* Slabs and their indexes: items keep their numbers and places, and are found by their keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "analyzer/arena.h"
#include "analyzer/index.h"
#include "analyzer/slab.h"

#define COUNT 20000

struct item {
    uint64_t a, b;
    struct item *self;
};

static struct index_key key_of(const void *item)
{
    const struct item *of = item;

    return (struct index_key){of->a, of->b};
}

static void fill(struct slab *slab, struct arena *arena)
{
    for (uint32_t i = 0; i < COUNT; i++) {
        struct item *item = slab_add(slab, arena);
        assert_non_null(item);
        assert_int_equal(slab->count, i + 1);
        assert_null(item->self); /* nobody else was there */
        assert_int_equal(item->a + item->b, 0);
        *item = (struct item){i / 7, i % 7, item};
    }
}

static void test_items_stay(void **state)
{
    struct slab slab = {.size = sizeof(struct item)};
    struct arena arena = {0};

    (void)state;
    fill(&slab, &arena);
    for (uint32_t i = 0; i < COUNT; i++) {
        const struct item *item = slab_at(&slab, i);
        assert_ptr_equal(item->self, item);
        assert_int_equal(item->a * 7 + item->b, i);
    }
    assert_true(arena.total < COUNT * sizeof(struct item) * 5 / 4 + (2 << 20));
    slab_fini(&slab);
    assert_int_equal(slab.count, 0);
    arena_fini(&arena);
}

/* A thread that does little costs little. */
static void test_few_items(void **state)
{
    struct slab slab = {.size = 64};
    struct arena arena = {0};

    (void)state;
    assert_non_null(slab_add(&slab, &arena));
    assert_true(arena.total <= 4096);
    slab_fini(&slab);
    arena_fini(&arena);
}

static void test_index(void **state)
{
    struct slab slab = {.size = sizeof(struct item)};
    struct index index = {.items = &slab, .key_of = key_of};
    struct arena arena = {0};

    (void)state;
    assert_null(index_get(&index, 0, 0));
    for (uint32_t i = 0; i < COUNT; i++) {
        struct item *item = slab_add(&slab, &arena);
        assert_null(index_get(&index, i / 7, i % 7));
        *item = (struct item){i / 7, i % 7, item};
        assert_int_equal(index_add_last(&index), 0);
        assert_ptr_equal(index_get(&index, i / 7, i % 7), item);
    }
    for (uint32_t i = 0; i < COUNT; i++)
        assert_ptr_equal(index_get(&index, i / 7, i % 7), slab_at(&slab, i));
    assert_null(index_get(&index, 0, 7));
    assert_null(index_get(&index, COUNT, 0));
    assert_int_equal(index.count, COUNT);
    index_fini(&index);
    slab_fini(&slab);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items_stay),
        cmocka_unit_test(test_few_items),
        cmocka_unit_test(test_index),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
