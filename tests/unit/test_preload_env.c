/* A run in an environment: taken out without a trace, put in wherever LD_PRELOAD stands, and round
 * again. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recorder/preload_env.h"

#define SELF "/lib/preload.so"
#define MARK "0123456789abcdef0123456789abcdef"
#define RUN "PYREC_RUN=7,spawn,1,100," MARK ",/tmp/t,1.bin"

enum { ENTRIES_MAX = 8 };

/* An environment in memory that can be written. */
struct environment {
    char *envp[ENTRIES_MAX];
    char text[ENTRIES_MAX][512];
};

static void make(struct environment *environment, const char *const *entries)
{
    size_t i = 0;

    memset(environment, 0, sizeof *environment);
    for (; entries[i] != NULL; i++) {
        strcpy(environment->text[i], entries[i]);
        environment->envp[i] = environment->text[i];
    }
}

static void assert_environment(char *const *envp, const char *const *expected)
{
    for (; *expected != NULL; expected++, envp++) {
        assert_non_null(*envp);
        assert_string_equal(*envp, *expected);
    }
    assert_null(*envp);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static void taken_out(const char *const *before, const char *const *after)
{
    struct environment environment;
    struct preload_run run;

    make(&environment, before);
    assert_true(preload_env_take(environment.envp, SELF, &run));
    assert_environment(environment.envp, after);
    assert_int_equal(run.parent, 7);
    assert_int_equal(run.how, INSIDE_SPAWN);
    assert_true(run.children);
    assert_int_equal(run.lock, 100);
    assert_string_equal(run.mark, MARK);
    assert_string_equal(run.path, "/tmp/t,1.bin");
}

static void taking_restores_the_users_environment(void **state)
{
    (void)state;
    taken_out(LIST("A=1", "LD_PRELOAD=" SELF, RUN), LIST("A=1"));
    taken_out(LIST(RUN, "A=1", "LD_PRELOAD=" SELF, "B=2"), LIST("A=1", "B=2"));
    taken_out(LIST("LD_PRELOAD=" SELF ":", "A=1", RUN), LIST("LD_PRELOAD=", "A=1"));
    taken_out(LIST("LD_PRELOAD=" SELF ":x.so y.so", RUN), LIST("LD_PRELOAD=x.so y.so"));
    taken_out(LIST("LD_PRELOAD=" SELF "2", RUN), LIST("LD_PRELOAD=" SELF "2"));
    taken_out(LIST("LD_PRELOAD=x.so:" SELF, RUN), LIST("LD_PRELOAD=x.so:" SELF));
    taken_out(LIST("A=1", RUN), LIST("A=1"));
}

static void nothing_of_it_is_left_in_memory(void **state)
{
    struct environment environment;
    struct preload_run run;

    (void)state;
    make(&environment, LIST("LD_PRELOAD=" SELF ":x.so", "A=1", RUN));
    assert_true(preload_env_take(environment.envp, SELF, &run));
    for (size_t i = 0; i < sizeof environment.text; i++) {
        const char *at = (const char *)environment.text + i;

        assert_false(sizeof environment.text - i > 16 &&
                     (memcmp(at, "preload", 7) == 0 || memcmp(at, MARK, 8) == 0));
    }
    for (size_t i = 2; i < ENTRIES_MAX; i++)
        assert_null(
            environment.envp[i]); /* who looks behind the end finds zeros, not stale pointers */
}

static void what_is_no_run_is_left_alone(void **state)
{
    struct environment environment;
    struct preload_run run;

    (void)state;
    make(&environment, LIST("LD_PRELOAD=" SELF, "PYREC_RUNNER=1"));
    assert_false(preload_env_take(environment.envp, SELF, &run));
    assert_environment(environment.envp, LIST("LD_PRELOAD=" SELF, "PYREC_RUNNER=1"));
}

static void bad_values_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        ",",
        "7",
        "7,",
        "7,spawn",
        "7,spawn,1,0," MARK,
        "7,spawn,1,0," MARK ",",
        "7,spawn,1,0," MARK ",relative",
        "x,spawn,1,0," MARK ",/t",
        "-1,spawn,1,0," MARK ",/t",
        "7,spawned,1,0," MARK ",/t",
        "7,,1,0," MARK ",/t",
        "7,spawn,4,0," MARK ",/t",
        "7,spawn,1,," MARK ",/t",
        "7,spawn,1,2147483648," MARK ",/t",
        "4294967296,spawn,1,0," MARK ",/t",
        "99999999999999999999,spawn,1,0," MARK ",/t",
        "7,spawn,1,0,0123456789abcdef0123456789abcde,/t",
        "7,spawn,1,0," MARK "0,/t",
        "7,spawn,1,0,0123456789ABCDEF0123456789abcdef,/t",
    };
    char longest[PATH_MAX + 100] = "7,spawn,1,0," MARK ",/";
    size_t start = strlen(longest);
    struct preload_run run;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(preload_env_parse(bad[i], &run));
    memset(longest + start, 'x', PATH_MAX - 1);
    assert_false(preload_env_parse(longest, &run));
    longest[start + PATH_MAX - 2] = '\0';
    assert_true(preload_env_parse(longest, &run));
    assert_int_equal(strlen(run.path), PATH_MAX - 1);
    assert_int_equal(run.lock, -1);
}

/* Builds in exactly the memory that was asked for, so that a sanitizer sees one byte more. */
static void round_trip(char *const *envp, const struct preload_run *run)
{
    void *room = malloc(preload_env_room(envp, SELF, run));
    struct preload_run back;
    char **built, **entry = NULL;

    assert_non_null(room);
    built = preload_env_build(room, envp, SELF, run);
    assert_true(preload_env_carries(built));
    for (entry = built; *entry != NULL && strncmp(*entry, "LD_PRELOAD=", 11) != 0; entry++)
        ;
    assert_non_null(*entry);
    assert_memory_equal(*entry + 11, SELF, strlen(SELF));
    assert_true(preload_env_take(built, SELF, &back));
    assert_environment(built, (const char *const *)(envp == NULL ? (char *const[]){NULL} : envp));
    assert_int_equal(back.parent, run->parent);
    assert_int_equal(back.how, run->how);
    assert_int_equal(back.children, run->children);
    assert_int_equal(back.displaced, run->displaced);
    assert_int_equal(back.lock, run->lock);
    assert_string_equal(back.mark, run->mark);
    assert_string_equal(back.path, run->path);
    free(room);
}

static void what_is_built_is_taken_out_again(void **state)
{
    struct preload_run run = {.parent = UINT_MAX,
                              .how = INSIDE_EXEC,
                              .children = false,
                              .lock = INT_MAX,
                              .mark = MARK,
                              .path = "/tmp/t"};

    (void)state;
    for (int i = 0; i < 3; i++) {
        round_trip(NULL, &run);
        round_trip((char *[]){NULL}, &run);
        round_trip((char *[]){(char *)"A=1", (char *)"B", (char *)"=x", NULL}, &run);
        round_trip((char *[]){(char *)"LD_PRELOAD=", (char *)"A=1", NULL}, &run);
        round_trip((char *[]){(char *)"A=1", (char *)"LD_PRELOAD=x.so:y.so", (char *)"B=2", NULL},
                   &run);
        run = (struct preload_run){.how = i == 0 ? INSIDE_FIRST : INSIDE_SPAWN,
                                   .children = true,
                                   .displaced = i == 0,
                                   .lock = -1,
                                   .mark = MARK};
        memset(run.path, 'p', sizeof run.path - 1);
        run.path[0] = '/';
        run.path[sizeof run.path - 1] = '\0';
    }
}

static void carrying(void **state)
{
    (void)state;
    assert_false(preload_env_carries(NULL));
    assert_false(
        preload_env_carries((char *[]){(char *)"A=PYREC_RUN=1", (char *)"PYREC_RUN", NULL}));
    assert_true(preload_env_carries((char *[]){(char *)"A=1", (char *)"PYREC_RUN=", NULL}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taking_restores_the_users_environment),
        cmocka_unit_test(nothing_of_it_is_left_in_memory),
        cmocka_unit_test(what_is_no_run_is_left_alone),
        cmocka_unit_test(bad_values_are_refused),
        cmocka_unit_test(what_is_built_is_taken_out_again),
        cmocka_unit_test(carrying),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
