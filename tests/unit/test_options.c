/* The command line of pyanalyze: what is accepted, what it means together, what is said about the
 * rest. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "analyzer/options.h"
#include "formats/error.h"
#include "formats/trace/pattern.h"

enum { WORDS_MAX = 24 };

struct parsed {
    struct options options;
    struct error err;
    int status;
    char *words[WORDS_MAX];
};

/* Parses a line of words apart by single spaces. The result is freed by done(). */
static struct parsed *parse(const char *line)
{
    struct parsed *parsed = calloc(1, sizeof *parsed);
    char *copy = strdup(line);
    int count = 0;

    assert_non_null(parsed);
    parsed->words[count++] = strdup("pyanalyze");
    for (char *word = strtok(copy, " "); word != NULL && count < WORDS_MAX - 1;
         word = strtok(NULL, " "))
        parsed->words[count++] = strdup(word);
    free(copy);
    parsed->status = options_parse(&parsed->options, count, parsed->words, &parsed->err);
    return parsed;
}

static void done(struct parsed *parsed)
{
    options_fini(&parsed->options);
    for (int i = 0; i < WORDS_MAX; i++)
        free(parsed->words[i]);
    free(parsed);
}

static void nothing_asked_is_annotated_source_of_trace_bin(void **state)
{
    struct parsed *p = parse("");

    (void)state;
    assert_int_equal(p->status, 0);
    assert_int_equal(p->options.inputs.count, 1);
    assert_string_equal(p->options.inputs.items[0], "trace.bin");
    assert_true(p->options.inputs_defaulted);
    assert_int_equal(p->options.report_count, 1);
    assert_string_equal(p->options.reports[0].format->name, "annotate");
    assert_null(p->options.reports[0].path);
    assert_true(p->options.format.min_percent < 0);
    done(p);
}

static void another_result_takes_the_place_of_the_annotated_source(void **state)
{
    static const char *const lines[] = {"--db a.db", "--zipfile a.zip", "--sql x"};

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct parsed *p = parse(lines[i]);

        assert_int_equal(p->status, 0);
        assert_int_equal(p->options.report_count, 0);
        done(p);
    }
}

static void options_may_follow_inputs(void **state)
{
    struct parsed *p = parse("a.bin --top 5 b.bin --min-percent 0.5 -v -- --csv");

    (void)state;
    assert_int_equal(p->status, 0);
    assert_int_equal(p->options.inputs.count, 3);
    assert_string_equal(p->options.inputs.items[1], "b.bin");
    assert_string_equal(p->options.inputs.items[2], "--csv");
    assert_null(p->options.inputs.items[3]);
    assert_int_equal(p->options.format.top, 5);
    assert_true(p->options.format.min_percent == 0.5);
    assert_true(p->options.verbose);
    done(p);
}

static void every_word_of_an_enumeration_has_its_value(void **state)
{
    struct parsed *p =
        parse("--format annotate --format folded --sort wall --by hits --unit us --color=never "
              "--per-thread --fold --lines");

    (void)state;
    assert_int_equal(p->status, 0);
    assert_int_equal(p->options.format.sort, FORMAT_SORT_WALL);
    assert_int_equal(p->options.format.weight, FORMAT_WEIGHT_HITS);
    assert_string_equal(p->options.format.unit, "us");
    assert_int_equal(p->options.colour, OPTIONS_COLOUR_NEVER);
    assert_true(p->options.format.per_thread);
    assert_true(p->options.format.fold);
    assert_true(p->options.format.lines);
    done(p);
}

static void selection_is_kept(void **state)
{
    struct parsed *p =
        parse("--thread worker --process 42 --file a.py --file re:b$ --include *.py --exclude x.py "
              "--window p1 --window p2");

    (void)state;
    assert_int_equal(p->status, 0);
    assert_string_equal(p->options.thread, "worker");
    assert_int_equal(p->options.pid, 42);
    assert_int_equal(p->options.files.count, 2);
    assert_int_equal(p->options.windows.count, 2);
    assert_string_equal(p->options.windows.items[1], "p2");
    assert_ptr_equal(p->options.format.files, p->options.files.items);
    assert_true(pattern_list_includes(p->options.patterns, "/y.py"));
    assert_false(pattern_list_includes(p->options.patterns, "/x.py"));
    done(p);
}

static void output_picks_the_format_by_name(void **state)
{
    static const struct {
        const char *name, *format;
    } cases[] = {{"a.svg", "flamegraph"},
                 {"callgrind.out.1", "callgrind"},
                 {"cachegrind.out.app", "callgrind"},
                 {"b.folded", "folded"},
                 {"x/y.zip", "zip"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[64] = "-o ";
        struct parsed *p = parse(strcat(line, cases[i].name));

        assert_int_equal(p->status, 0);
        assert_int_equal(p->options.report_count, 1);
        assert_string_equal(p->options.reports[0].format->name, cases[i].format);
        assert_string_equal(p->options.reports[0].path, cases[i].name);
        done(p);
    }
}

static void a_format_without_a_file_takes_the_output(void **state)
{
    struct parsed *p = parse("--format annotate=a.txt -f folded -o any.name");

    (void)state;
    assert_int_equal(p->status, 0);
    assert_int_equal(p->options.report_count, 2);
    assert_string_equal(p->options.reports[0].path, "a.txt");
    assert_string_equal(p->options.reports[1].format->name, "folded");
    assert_string_equal(p->options.reports[1].path, "any.name");
    done(p);
}

static void a_database_name_is_a_database(void **state)
{
    struct parsed *p = parse("-o app.db");

    (void)state;
    assert_int_equal(p->status, 0);
    assert_string_equal(p->options.database_path, "app.db");
    assert_int_equal(p->options.report_count, 0);
    done(p);
}

static void rows_take_the_output_that_is_no_report(void **state)
{
    static const struct {
        const char *line;
        int rows;
    } cases[] = {{"--sql x -o a.csv", OPTIONS_ROWS_CSV},
                 {"--sql x -o a.json", OPTIONS_ROWS_JSON},
                 {"--sql x -o a.tsv", OPTIONS_ROWS_TSV},
                 {"--sql x -o a.anything", OPTIONS_ROWS_TSV},
                 {"--sql x -o a.txt", OPTIONS_ROWS_TSV},
                 {"--sql x --json -o a.anything", OPTIONS_ROWS_JSON}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct parsed *p = parse(cases[i].line);

        assert_int_equal(p->status, 0);
        assert_non_null(p->options.rows_path);
        assert_int_equal(p->options.rows, cases[i].rows);
        assert_int_equal(p->options.report_count, 0);
        done(p);
    }
}

static void a_name_that_fits_a_format_is_a_report_beside_rows(void **state)
{
    struct parsed *p = parse("--sql x -o a.svg");

    (void)state;
    assert_int_equal(p->options.report_count, 1);
    assert_null(p->options.rows_path);
    done(p);
}

static void a_dash_is_standard_output(void **state)
{
    static const char *const lines[] = {"-o -", "-f folded -o -", "-f folded=-", "--sql x -o -"};

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct parsed *p = parse(lines[i]);

        assert_int_equal(p->status, 0);
        assert_null(p->options.rows_path);
        assert_int_equal(p->options.report_count, i < 3);
        if (i < 3)
            assert_null(p->options.reports[0].path);
        done(p);
    }
}

static void a_zip_beside_reports_is_told_to_the_formats(void **state)
{
    struct parsed *p = parse("--zipfile s.zip -o callgrind.out.app");

    (void)state;
    assert_true(p->options.format.zipped);
    assert_string_equal(p->options.format.zip_path, "s.zip");
    done(p);
}

/* Each is wrong use, said in one line that has these words. */
static void times_have_units_and_count_from_the_end(void **state)
{
    static const struct {
        const char *line;
        long long ns;
        bool from_end;
    } cases[] = {
        {"--format trace --from 1.5s", 1500000000, false},
        {"--format trace --from 2", 2000000000, false},
        {"--format trace --from 1234.567891ms", 1234567891, false},
        {"--format trace --from 20us", 20000, false},
        {"--format trace --from 7ns", 7, false},
        {"--format trace --from 0", 0, false},
        {"--format trace --from -300us", 300000, true},
        {"--format trace --from=-0", 0, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct parsed *p = parse(cases[i].line);
        const struct format_time *from = &p->options.format.from;

        assert_true(from->given && !p->options.format.to.given);
        assert_int_equal(from->ns, cases[i].ns);
        assert_int_equal(from->from_end, cases[i].from_end);
        done(p);
    }
}

static void wrong_use_is_named(void **state)
{
    static const struct {
        const char *line, *word, *allowed;
    } cases[] = {
        {"--nonsense", "'--nonsense'", "--help"},
        {"-Z", "'-Z'", "--help"},
        {"--s x", "'--s'", "ambiguous"},
        {"--format", "--format", "NAME[=FILE]"},
        {"--format svgg", "'svgg'", "annotate, callgrind, "},
        {"--format svg=", "'svg'", "annotate"},
        {"--format folded=", "'folded='", "no file name"},
        {"--csv=x", "--csv", "no argument"},
        {"--sort time", "'time'", "cpu, wall, hits"},
        {"--sort cpu,wall", "one key", "cpu, wall, hits"},
        {"--sort ,cpu", "--sort", "empty"},
        {"--format folded --sort x", "'x'", "no format"},
        {"--format trace --from 1x", "'1x'", "1.5s, 20ms"},
        {"--format trace --to ms", "'ms'", "1.5s, 20ms"},
        {"--format trace --from nan", "'nan'", "1.5s, 20ms"},
        {"--format lines --from 1s", "--from", "trace"},
        {"--function f", "--function", "trace"},
        {"--format stats --sort c", "'c'", "calls, cumtime, cumulative"},
        {"--format stats --sort wall", "'wall'", "calls, ncalls, cumtime"},
        {"--format stats --sort time --sort 2", "2", "alone"},
        {"--format stats --restrict 1.5", "'1.5'", "0 to 1"},
        {"--format stats --restrict a(b", "'a(b'", "regular expression"},
        {"--format stats --restrict (?=x)", "'(?=x)'", "(?:"},
        {"--format lines --from 1s", "--from", "chrometrace, speedscope, trace"},
        {"--to 1s", "--to", "chrometrace, speedscope, trace"},
        {"--sql x --function f", "--function", "chrometrace, speedscope, trace"},
        {"--format lines --reverse", "--reverse", "--format stats"},
        {"--restrict 3", "--restrict", "--format stats"},
        {"--format pstats --strip-dirs", "--strip-dirs", "--format stats"},
        {"--callers", "--callers", "--format stats"},
        {"--db x.db --callees", "--callees", "--format stats"},
        {"--format lines --by cpu", "--by", "flamegraph, folded, speedscope, tree"},
        {"--db -", "--db", "./-"},
        {"--zipfile -", "--zipfile", "./-"},
        {"--by x", "'x'", "self, cpu, hits"},
        {"--unit m", "'m'", "s, ms, us, ns"},
        {"--color x", "'x'", "auto, always, never"},
        {"--top 0", "'0'", "1 to 1000000000"},
        {"--top 3x", "'3x'", "1 to 1000000000"},
        {"--top 99999999999999999999", "--top", "1 to 1000000000"},
        {"--min-percent 101", "'101'", "0 to 100"},
        {"--min-percent nan", "'nan'", "0 to 100"},
        {"--process x", "'x'", "whole number"},
        {"--process 1 --process 2", "1 and 2", "twice"},
        {"--thread a --thread b", "a and b", "twice"},
        {"--db a --db b", "a and b", "twice"},
        {"-o a.svg -o b.svg", "a.svg and b.svg", "twice"},
        {"-o x.unknown", "'x.unknown'", "annotate, callgrind"},
        {"-o rows.csv", "rows.csv", "--sql"},
        {"--csv", "--csv", "--sql"},
        {"--json", "--json", "--sql"},
        {"--sql x --csv --json", "--csv", "--json"},
        {"-f folded -f annotate -o x", "folded and annotate", "NAME=FILE"},
        {"-o a.db --db b.db", "a.db", "b.db"},
        {"--include re:(", "re:(", "--include"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct parsed *p = parse(cases[i].line);

        if (p->status != -1 || !p->err.usage || strstr(p->err.text, cases[i].word) == NULL ||
            strstr(p->err.text, cases[i].allowed) == NULL || strchr(p->err.text, '\n') != NULL)
            fail_msg("%s: status %d, usage %d: %s", cases[i].line, p->status, p->err.usage,
                     p->err.text);
        done(p);
    }
}

static void empty_words_are_refused(void **state)
{
    static const char *const names[] = {"--sql", "--file", "--include", "--db", "-o", "--thread"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char program[] = "pyanalyze", name[16], empty[] = "";
        char *words[] = {program, strcpy(name, names[i]), empty, NULL};
        struct options options;
        struct error err = {.usage = 0};

        assert_int_equal(options_parse(&options, 3, words, &err), -1);
        assert_true(err.usage);
        options_fini(&options);
    }
}

static void help_fits_a_screen_and_lists_every_format(void **state)
{
    char *help = options_help();
    int lines = 0;

    (void)state;
    assert_non_null(help);
    for (const struct format *const *format = formats; *format != NULL; format++)
        assert_non_null(strstr(help, (*format)->summary));
    for (char *line = strtok(help, "\n"); line != NULL; line = strtok(NULL, "\n"), lines++) {
        if (strlen(line) > 80)
            fail_msg("too wide: %s", line);
    }
    assert_in_range(lines, 20, 66);
    free(help);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_asked_is_annotated_source_of_trace_bin),
        cmocka_unit_test(another_result_takes_the_place_of_the_annotated_source),
        cmocka_unit_test(options_may_follow_inputs),
        cmocka_unit_test(every_word_of_an_enumeration_has_its_value),
        cmocka_unit_test(selection_is_kept),
        cmocka_unit_test(output_picks_the_format_by_name),
        cmocka_unit_test(a_format_without_a_file_takes_the_output),
        cmocka_unit_test(a_database_name_is_a_database),
        cmocka_unit_test(rows_take_the_output_that_is_no_report),
        cmocka_unit_test(a_name_that_fits_a_format_is_a_report_beside_rows),
        cmocka_unit_test(a_dash_is_standard_output),
        cmocka_unit_test(a_zip_beside_reports_is_told_to_the_formats),
        cmocka_unit_test(times_have_units_and_count_from_the_end),
        cmocka_unit_test(wrong_use_is_named),
        cmocka_unit_test(empty_words_are_refused),
        cmocka_unit_test(help_fits_a_screen_and_lists_every_format),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
