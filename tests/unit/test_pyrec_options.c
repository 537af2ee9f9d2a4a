/* The command line of pyrec: where options end, what goes to the interpreter, what is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "recorder/pyrec_options.h"

enum { WORDS_MAX = 24 };

struct parsed {
    struct pyrec_options options;
    struct pyrec_error err;
    char *line;
    char *words[WORDS_MAX];
    int result;
};

/* Parses a line of words apart by single spaces. */
static void parse(struct parsed *parsed, const char *line)
{
    size_t count = 0;

    memset(parsed, 0, sizeof *parsed);
    parsed->line = strdup(line);
    assert_non_null(parsed->line);
    parsed->words[count++] = (char *)"pyrec";
    for (char *word = strtok(parsed->line, " "); word != NULL; word = strtok(NULL, " ")) {
        assert_true(count < WORDS_MAX - 1);
        parsed->words[count++] = word;
    }
    parsed->result = pyrec_options_parse(parsed->words, &parsed->options, &parsed->err);
}

static void done(struct parsed *parsed)
{
    pyrec_options_free(&parsed->options);
    free(parsed->line);
}

/* Items of a NULL-terminated list joined by `|`. */
static void assert_words(char *const *words, const char *expected)
{
    char joined[512] = "";

    for (; words != NULL && *words != NULL; words++) {
        strcat(joined, joined[0] == '\0' ? "" : "|");
        strcat(joined, *words);
    }
    assert_string_equal(joined, expected);
}

struct split_case {
    const char *line, *interpreter, *operand, *arguments;
    enum pyrec_form form;
};

static void options_end_at_the_program(void **state)
{
    static const struct split_case cases[] = {
        {"run app.py --out x -- -m", "app.py", "app.py", "--out|x|--|-m", PYREC_SCRIPT},
        {"app.py run", "app.py", "app.py", "run", PYREC_SCRIPT},
        {"run run run", "run", "run", "run", PYREC_SCRIPT},
        {"run - x", "-", "-", "x", PYREC_SCRIPT},
        {"-q -- app.py -q", "app.py", "app.py", "-q", PYREC_SCRIPT},
        {"-- -app.py", "--|-app.py", "-app.py", "", PYREC_SCRIPT},
        {"-- -", "--|-", "-", "", PYREC_SCRIPT},
        {"run -m mod -q", "-m|mod", "mod", "-q", PYREC_MODULE},
        {"run -mmod -q", "-mmod", "mod", "-q", PYREC_MODULE},
        {"-Im mod x", "-Im|mod", "mod", "x", PYREC_MODULE},
        {"-qIvm mod", "-Im|mod", "mod", "", PYREC_MODULE},
        {"-c pass -h", "-c|pass", "pass", "-h", PYREC_CODE},
        {"-cpass", "-cpass", "pass", "", PYREC_CODE},
        {"-OO -X dev -Wi -uX a app.py", "-OO|-X|dev|-Wi|-uX|a|app.py", "app.py", "", PYREC_SCRIPT},
        {"-IqO -o t app.py", "-IO|app.py", "app.py", "", PYREC_SCRIPT},
        {"-Iot app.py", "-I|app.py", "app.py", "", PYREC_SCRIPT},
        {"--python-args=-S -m mod", "-S|-m|mod", "mod", "", PYREC_MODULE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct parsed parsed;

        parse(&parsed, cases[i].line);
        assert_string_equal(parsed.err.text, "");
        assert_int_equal(parsed.result, 0);
        assert_int_equal(parsed.options.action, PYREC_RUN);
        assert_int_equal(parsed.options.form, cases[i].form);
        assert_string_equal(parsed.options.operand, cases[i].operand);
        assert_words(parsed.options.interpreter.items, cases[i].interpreter);
        assert_words(parsed.options.arguments, cases[i].arguments);
        done(&parsed);
    }
}

static void values_and_flags(void **state)
{
    struct parsed parsed;

    (void)state;
    parse(&parsed, "run -qo t.bin --python=p --include a --exclude=re:b --include c --max-size 2g "
                   "--min-free=7% "
                   "--no-threads --no-source --then x=y --then z app.py");
    assert_int_equal(parsed.result, 0);
    assert_string_equal(parsed.options.out, "t.bin");
    assert_string_equal(parsed.options.python, "p");
    assert_words(parsed.options.filters.items, "+a|-re:b|+c");
    assert_words(parsed.options.then.items, "x=y|z");
    assert_int_equal(parsed.options.max_size, 2147483648u);
    assert_int_equal(parsed.options.min_free, 7);
    assert_true(parsed.options.min_free_is_percent);
    assert_true(parsed.options.quiet && parsed.options.no_threads && parsed.options.no_source);
    assert_false(parsed.options.verbose || parsed.options.no_children || parsed.options.c_calls ||
                 parsed.options.force || parsed.options.exclude_syspath);
    done(&parsed);
}

static void defaults(void **state)
{
    struct parsed parsed;

    (void)state;
    parse(&parsed, "app.py");
    assert_string_equal(parsed.options.out, "trace.bin");
    assert_null(parsed.options.python);
    assert_int_equal(parsed.options.max_size, 0);
    assert_int_equal(parsed.options.min_free, 5);
    assert_true(parsed.options.min_free_is_percent);
    done(&parsed);
}

static void actions(void **state)
{
    struct parsed parsed;

    (void)state;
    parse(&parsed, "analyze --help -o x");
    assert_int_equal(parsed.options.action, PYREC_ANALYZE);
    assert_words(parsed.options.arguments, "--help|-o|x");
    done(&parsed);
    parse(&parsed, "run -q --help --nonsense");
    assert_int_equal(parsed.options.action, PYREC_HELP);
    done(&parsed);
    parse(&parsed, "-V");
    assert_int_equal(parsed.options.action, PYREC_VERSION_LINE);
    done(&parsed);
}

static void what_is_refused(void **state)
{
    static const char *const lines[] = {
        "",
        "run",
        "--",
        "-q",
        "--nosuch x",
        "-Z x",
        "-qZ x",
        "--out",
        "-o",
        "-m",
        "-c",
        "-X",
        "-W",
        "--force=1 x",
        "--quiet= x",
        "--out= x",
        "--max-size= x",
        "--max-size 1x x",
        "--max-size -1 x",
        "--min-free 101% x",
        "--min-free % x",
        "--include re:( x",
        "--python-args=x x",
        "--python-args=-X x",
        "--python-args=-- x",
        "--python-args=-m x",
        "--python-args=-Ic x",
        "--python-args=- x",
        "--python-args=' x",
        "--sample 0 x",
        "--sample 1m x",
        "--sample 1us x",
        "--sample -1ms x",
        "--sample 2h x",
        "--sample ms x",
        "--max-depth 0 x",
        "--max-depth 1k x",
        "--c-calls -S x",
        "--echo -S x",
        "--ecco x",
    };

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct parsed parsed;

        parse(&parsed, lines[i]);
        if (parsed.result != -1)
            print_error("accepted: pyrec %s\n", lines[i]);
        assert_int_equal(parsed.result, -1);
        assert_int_equal(parsed.err.status, PYREC_USAGE);
        assert_true(parsed.err.text[0] != '\0');
        done(&parsed);
    }
}

static void periods(void **state)
{
    static const struct {
        const char *text;
        uint64_t ns;
    } known[] = {
        {"1ms", 1000000},   {"0.001", 1000000}, {"100us", 100000},     {"1kHz", 1000000},
        {"2 Hz", 0},        {"0.5s", 500000000}, {"100hz", 10000000},   {".01", 10000000},
        {"10us", 10000},    {"100kHz", 10000},   {"3600", 3600000000000}, {"3601", 0},
        {"9us", 0},         {"101kHz", 0},       {"1e-3", 1000000},     {"", 0},
        {"nan", 0},         {"inf", 0},          {"1ms1", 0},           {"0Hz", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint64_t ns = 0;
        bool read = pyrec_options_read_period(known[i].text, &ns);

        if (read != (known[i].ns != 0) || ns != known[i].ns)
            print_error("period: %s\n", known[i].text);
        assert_int_equal(read, known[i].ns != 0);
        assert_int_equal(ns, known[i].ns);
    }
}

static void sampling(void **state)
{
    struct parsed parsed;

    (void)state;
    parse(&parsed, "-S x");
    assert_int_equal(parsed.options.sample_ns, 1000000);
    done(&parsed);
    parse(&parsed, "--sample=200us --max-depth 7 x");
    assert_int_equal(parsed.options.sample_ns, 200000);
    assert_int_equal(parsed.options.max_depth, 7);
    done(&parsed);
    parse(&parsed, "x");
    assert_int_equal(parsed.options.sample_ns, 0);
    done(&parsed);
}

static void a_very_long_word_of_letters(void **state)
{
    char line[200] = "-";
    struct parsed parsed;

    (void)state;
    memset(line + 1, 'O', 150);
    strcpy(line + 151, " app.py");
    parse(&parsed, line);
    assert_int_equal(parsed.result, -1);
    done(&parsed);
}

static void sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},
        {"123", 123},
        {"1k", 1024},
        {"3K", 3072},
        {"2M", 2 << 20},
        {"2MiB", 2 << 20},
        {"2MB", 2 << 20},
        {"1T", (uint64_t)1 << 40},
        {"16777215T", (uint64_t)16777215 << 40},
        {"18446744073709551615", UINT64_MAX},
    };
    static const char *const bad[] = {"",
                                      " 1",
                                      "-1",
                                      "+1",
                                      "1 K",
                                      "1Q",
                                      "1KK",
                                      "K",
                                      "1.5G",
                                      "16777216T",
                                      "18446744073709551616",
                                      "0x10",
                                      "1Kb"};
    uint64_t bytes;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(pyrec_options_read_size(good[i].text, &bytes));
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(pyrec_options_read_size(bad[i], &bytes));
}

static void words_split_as_in_a_shell(void **state)
{
    static const struct {
        const char *text;
        size_t count;
        const char *words;
    } cases[] = {
        {"", 0, ""},
        {"  \t\n ", 0, ""},
        {" -I  -X\tdev\n", 3, "-I|-X|dev"},
        {"-X 'a b' -W\"c d\"e", 3, "-X|a b|-Wc de"},
        {"x '' \"\"", 3, "x||"},
        {"a\\ b '\\' \"\\\"\" \\\\ \\", 5, "a b|\\|\"|\\|\\"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pyrec_list words = {0};
        struct pyrec_error err = {0};

        assert_int_equal(pyrec_options_split(cases[i].text, &words, &err), 0);
        assert_int_equal(words.count, cases[i].count);
        assert_words(words.items, cases[i].words);
        pyrec_list_free(&words);
    }
}

static void errors_show_no_control_characters(void **state)
{
    struct pyrec_error err = {0};

    (void)state;
    assert_int_equal(pyrec_error_set(&err, PYREC_FAILED, "%s", "a\n\x1b[31mb\x7f\xc3\xa9"), -1);
    assert_string_equal(err.text, "a\\x0a\\x1b[31mb\\x7f\xc3\xa9");
    pyrec_error_set(&err, PYREC_USAGE, "second");
    assert_int_equal(err.status, PYREC_FAILED);
}

static void a_long_error_is_cut(void **state)
{
    struct pyrec_error err = {0};
    char text[8000];

    (void)state;
    memset(text, '\n', sizeof text);
    text[sizeof text - 1] = '\0';
    pyrec_error_set(&err, PYREC_FAILED, "%s", text);
    assert_true(strlen(err.text) < sizeof err.text);
    assert_true(strlen(err.text) > sizeof err.text - 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_end_at_the_program),
        cmocka_unit_test(values_and_flags),
        cmocka_unit_test(defaults),
        cmocka_unit_test(actions),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(periods),
        cmocka_unit_test(sampling),
        cmocka_unit_test(a_very_long_word_of_letters),
        cmocka_unit_test(sizes),
        cmocka_unit_test(words_split_as_in_a_shell),
        cmocka_unit_test(errors_show_no_control_characters),
        cmocka_unit_test(a_long_error_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
