#include "analyzer/options_settle.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/error.h"
#include "formats/trace/pattern.h"

enum {
    TOP_MAX = 1000000000,
    LONG_ONLY = 256, /* getopt's value of rule 0; a short letter is below it */
};

static const struct options_word weight_words[] = {{"self", FORMAT_WEIGHT_SELF},
                                                   {"cpu", FORMAT_WEIGHT_CPU},
                                                   {"hits", FORMAT_WEIGHT_HITS},
                                                   {NULL, 0}};
static const struct options_word colour_words[] = {{"auto", OPTIONS_COLOUR_AUTO},
                                                   {"always", OPTIONS_COLOUR_ALWAYS},
                                                   {"never", OPTIONS_COLOUR_NEVER},
                                                   {NULL, 0}};
static const struct options_word unit_words[] = {
    {"s", 0}, {"ms", 0}, {"us", 0}, {"ns", 0}, {NULL, 0}};

struct rule;
typedef int apply_function(struct options *options, const struct rule *rule, const char *value,
                           struct error *err);

static apply_function apply_format, apply_flag, apply_int, apply_path, apply_list, apply_word,
    apply_unit, apply_pid, apply_top, apply_percent, apply_pattern, apply_time;

/* An option. `at` is where in struct options its value goes, `value` what is stored if it takes no
 * argument. */
struct rule {
    const char *name;
    int letter;
    int value;
    const char *argument; /* as --help names it; NULL: takes none */
    apply_function *apply;
    size_t at;
    const struct options_word *words;
    const char *help; /* NULL: the heading `name` of a group in --help */
};

/* clang-format off */
#define HEADING(text) {text, 0, 0, NULL, NULL, 0, NULL, NULL}
#define FIELD(member) offsetof(struct options, member)

static const struct rule rules[] = {
    HEADING("Results:"),
    {"format", 'f', 0, "NAME[=FILE]", apply_format, 0, NULL, "a report in a format listed below (repeatable)"},
    {"output", 'o', 0, "FILE", apply_path, FIELD(output), NULL, "where it goes; the name alone can say which"},
    {"zipfile", 0, 0, "FILE", apply_path, FIELD(zip_path), NULL, "the recorded sources; reports name files as in it"},
    {"db", 0, 0, "FILE", apply_path, FIELD(database_path), NULL, "the whole analysis as an SQLite database"},
    {"sql", 0, 0, "QUERY|@FILE|-", apply_list, FIELD(queries), NULL, "rows of a query (repeatable)"},
    {"csv", 0, OPTIONS_ROWS_CSV, NULL, apply_int, FIELD(rows), NULL, "rows as CSV"},
    {"json", 0, OPTIONS_ROWS_JSON, NULL, apply_int, FIELD(rows), NULL, "rows as JSON"},
    {"schema", 0, OPTIONS_SCHEMA, NULL, apply_int, FIELD(action), NULL, "print the commented schema and exit"},
    HEADING("Selection:"),
    {"thread", 0, 0, "NAME|ID", apply_path, FIELD(thread), NULL, "only this thread"},
    {"process", 0, 0, "PID", apply_pid, 0, NULL, "only this process"},
    {"window", 0, 0, "OWNER", apply_list, FIELD(windows), NULL, "only the windows of this owner (repeatable)"},
    {"include", 0, '+', "PATTERN", apply_pattern, 0, NULL, "only these files; the rest counts for its callers"},
    {"exclude", 0, '-', "PATTERN", apply_pattern, 0, NULL, "not these files; of both the last match wins"},
    {"file", 0, 0, "PATTERN", apply_list, FIELD(files), NULL, "report only these files, numbers unchanged"},
    {"per-thread", 0, 1, NULL, apply_flag, FIELD(format.per_thread), NULL, "split by thread instead of merging"},
    HEADING("Reports:"),
    {"statements", 0, 1, NULL, apply_flag, FIELD(statements), NULL, "the lines of one statement as one"},
    {"sort", 0, 0, "KEY[,KEY...]", apply_list, FIELD(sort_words), NULL, "order: cpu, wall, hits; of stats as pstats has it"},
    {"reverse", 0, 1, NULL, apply_flag, FIELD(format.reverse), NULL, "stats: the other way round"},
    {"restrict", 0, 0, "N|PART|REGEX", apply_list, FIELD(restricts), NULL, "stats: fewer rows, as in pstats (repeatable)"},
    {"strip-dirs", 0, 1, NULL, apply_flag, FIELD(format.strip_dirs), NULL, "stats: files without their folders"},
    {"callers", 0, 1, NULL, apply_flag, FIELD(format.callers), NULL, "stats: who called each function"},
    {"callees", 0, 1, NULL, apply_flag, FIELD(format.callees), NULL, "stats: whom each function called"},
    {"from", 0, 0, "TIME", apply_time, FIELD(format.from), NULL, "trace: from then on: 1.5s, 20ms; -1s before the end"},
    {"to", 0, 0, "TIME", apply_time, FIELD(format.to), NULL, "trace: until then"},
    {"function", 0, 0, "NAME", apply_path, FIELD(format.function), NULL, "trace: only this function and what is below it"},
    {"by", 0, 0, "self|cpu|hits", apply_word, FIELD(format.weight), weight_words, "what the widths of a flame graph are (self)"},
    {"unit", 0, 0, "s|ms|us|ns", apply_unit, 0, unit_words, "unit of times"},
    {"top", 0, 0, "N", apply_top, 0, NULL, "only the N hottest"},
    {"min-percent", 0, 0, "P", apply_percent, 0, NULL, "leave out what is below P percent"},
    {"fold", 0, 1, NULL, apply_flag, FIELD(format.fold), NULL, "cold stretches of source as [...]"},
    {"lines", 0, 1, NULL, apply_flag, FIELD(format.lines), NULL, "frames are lines, not functions"},
    HEADING("Other:"),
    {"force", 0, 1, NULL, apply_flag, FIELD(force), NULL, "replace existing files of any kind"},
    {"strict", 0, 1, NULL, apply_flag, FIELD(strict), NULL, "exit with 1 if there were warnings"},
    {"color", 0, 0, "WHEN", apply_word, FIELD(colour), colour_words, "auto (on a terminal), always or never"},
    {"no-pager", 0, 1, NULL, apply_flag, FIELD(no_pager), NULL, "no $PAGER on a terminal"},
    {"verbose", 'v', 1, NULL, apply_flag, FIELD(verbose), NULL, "report own cost on stderr"},
    {"version", 'V', OPTIONS_VERSION, NULL, apply_int, FIELD(action), NULL, "print the version and exit"},
    {"help", 'h', OPTIONS_HELP, NULL, apply_int, FIELD(action), NULL, "print this and exit"},
};
/* clang-format on */

enum { RULE_COUNT = sizeof rules / sizeof rules[0] };

static void *field(struct options *options, const struct rule *rule)
{
    return (char *)options + rule->at;
}

static int apply_flag(struct options *options, const struct rule *rule, const char *value,
                      struct error *err)
{
    (void)value;
    (void)err;
    *(bool *)field(options, rule) = rule->value;
    return 0;
}

static int apply_int(struct options *options, const struct rule *rule, const char *value,
                     struct error *err)
{
    int *at = field(options, rule);

    (void)value;
    if (at == &options->rows && *at != 0 && *at != rule->value)
        return error_set_usage(err, "--csv and --json: only one of them is possible");
    *at = rule->value;
    return 0;
}

static int apply_path(struct options *options, const struct rule *rule, const char *value,
                      struct error *err)
{
    const char **at = field(options, rule);

    if (*at != NULL)
        return error_set_usage(err, "--%s is given twice: %s and %s", rule->name, *at, value);
    if (value[0] == '\0')
        return error_set_usage(err, "--%s: the name is empty", rule->name);
    *at = value;
    return 0;
}

static int apply_list(struct options *options, const struct rule *rule, const char *value,
                      struct error *err)
{
    if (value[0] == '\0')
        return error_set_usage(err, "--%s: the %s is empty", rule->name, rule->argument);
    return options_list_append(field(options, rule), value, err);
}

static const struct options_word *find_word(const struct rule *rule, const char *value,
                                            struct error *err)
{
    char allowed[128] = "";

    for (const struct options_word *word = rule->words; word->text != NULL; word++) {
        if (strcmp(word->text, value) == 0)
            return word;
        options_append_name(allowed, sizeof allowed, word->text);
    }
    error_set_usage(err, "--%s: '%s' is not one of %s", rule->name, value, allowed);
    return NULL;
}

static int apply_word(struct options *options, const struct rule *rule, const char *value,
                      struct error *err)
{
    const struct options_word *word = find_word(rule, value, err);

    if (word == NULL)
        return -1;
    *(int *)field(options, rule) = word->value;
    return 0;
}

static int apply_unit(struct options *options, const struct rule *rule, const char *value,
                      struct error *err)
{
    const struct options_word *word = find_word(rule, value, err);

    if (word == NULL)
        return -1;
    options->format.unit = word->text;
    return 0;
}

/* Seconds, or as the unit behind says; below zero: before the end. */
static int apply_time(struct options *options, const struct rule *rule, const char *value,
                      struct error *err)
{
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"", 1e9}, {"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"ns", 1}};
    struct format_time *time = field(options, rule);
    char *end;
    double number = strtod(value, &end);

    for (size_t i = 0; end != value && i < sizeof units / sizeof units[0]; i++) {
        double ns = fabs(number) * units[i].ns;

        if (strcmp(end, units[i].unit) != 0 || !(ns < 9e18))
            continue;
        *time = (struct format_time){true, value[0] == '-', llround(ns)};
        return 0;
    }
    return error_set_usage(err, "--%s: '%s' is not a time such as 1.5s, 20ms, 300us or -1s",
                           rule->name, value);
}

static int read_whole(const struct rule *rule, const char *value, long most, long *number,
                      struct error *err)
{
    char *end;

    errno = 0;
    *number = strtol(value, &end, 10);
    if (end == value || *end != '\0' || errno != 0 || *number < 1 || *number > most)
        return error_set_usage(err, "--%s: '%s' is not a whole number from 1 to %ld", rule->name,
                               value, most);
    return 0;
}

static int apply_top(struct options *options, const struct rule *rule, const char *value,
                     struct error *err)
{
    long number;

    if (read_whole(rule, value, TOP_MAX, &number, err) < 0)
        return -1;
    options->format.top = (int)number;
    return 0;
}

static int apply_pid(struct options *options, const struct rule *rule, const char *value,
                     struct error *err)
{
    long number;

    if (read_whole(rule, value, INT32_MAX, &number, err) < 0)
        return -1;
    if (options->pid != 0)
        return error_set_usage(err, "--%s is given twice: %lld and %s", rule->name,
                               (long long)options->pid, value);
    options->pid = number;
    return 0;
}

static int apply_percent(struct options *options, const struct rule *rule, const char *value,
                         struct error *err)
{
    char *end;
    double number = strtod(value, &end);

    if (end == value || *end != '\0' || !(number >= 0 && number <= 100))
        return error_set_usage(err, "--%s: '%s' is not a number from 0 to 100", rule->name, value);
    options->format.min_percent = number;
    return 0;
}

static int apply_pattern(struct options *options, const struct rule *rule, const char *value,
                         struct error *err)
{
    char why[256];

    if (options->patterns == NULL && (options->patterns = pattern_list_new()) == NULL)
        return error_set(err, "out of memory");
    if (value[0] == '\0')
        return error_set_usage(err, "--%s: the PATTERN is empty", rule->name);
    if (pattern_list_add(options->patterns, rule->value == '+', value, why, sizeof why) < 0)
        return error_set_usage(err, "--%s: '%s': %s", rule->name, value, why);
    return 0;
}

static int apply_format(struct options *options, const struct rule *rule, const char *value,
                        struct error *err)
{
    const char *equals = strchrnul(value, '=');
    char name[64];
    const struct format *format;

    (void)rule;
    snprintf(name, sizeof name, "%.*s", (int)(equals - value), value);
    format = format_find(name);
    if (format == NULL)
        return options_unknown_format("--format", name, err);
    if (equals[0] == '=' && equals[1] == '\0')
        return error_set_usage(err, "--format: no file name behind '%s'", value);
    return options_add_report(options, format, equals[0] == '=' ? equals + 1 : NULL, err);
}

/* getopt's own tables; begin with all zero. */
struct getopt_tables {
    struct option longs[RULE_COUNT + 1];
    char letters[2 * RULE_COUNT + 2];
};

static void make_getopt_tables(struct getopt_tables *tables)
{
    struct option *option = tables->longs;
    char *letter = tables->letters;

    *letter++ = ':'; /* a missing argument is told apart from an unknown option */
    for (int i = 0; i < RULE_COUNT; i++) {
        if (rules[i].help == NULL)
            continue;
        option->name = rules[i].name;
        option->has_arg = rules[i].argument != NULL ? required_argument : no_argument;
        option->val = LONG_ONLY + i;
        option++;
        if (rules[i].letter == 0)
            continue;
        *letter++ = (char)rules[i].letter;
        if (rules[i].argument != NULL)
            *letter++ = ':';
    }
}

static const struct rule *find_rule(int value)
{
    if (value >= LONG_ONLY)
        return &rules[value - LONG_ONLY];
    for (int i = 0; i < RULE_COUNT; i++) {
        if (rules[i].help != NULL && rules[i].letter == value)
            return &rules[i];
    }
    return NULL;
}

/* Is the option that was typed a shortened `name`? */
static bool is_short_for(const char *typed, const char *name)
{
    while (*typed != '\0' && *typed != '=' && *typed == *name) {
        typed++;
        name++;
    }
    return *typed == '\0' || *typed == '=';
}

/* What was wrong with the option getopt stumbled over: argv[optind - 1], or the letter in optopt.
 */
static int bad_option(int result, char **argv, struct error *err)
{
    const struct rule *rule = optopt != 0 ? find_rule(optopt) : NULL;
    const char *word = argv[optind - 1];

    if (result == ':' && rule != NULL)
        return error_set_usage(err, "%s needs an argument: %s", word, rule->argument);
    if (rule != NULL)
        return error_set_usage(err, "--%s takes no argument", rule->name);
    if (optopt != 0)
        return error_set_usage(err, "there is no option '-%c'; see pyanalyze --help", optopt);
    for (int i = 0, matches = 0; i < RULE_COUNT; i++) {
        bool fits = rules[i].help != NULL && is_short_for(word + 2, rules[i].name);

        if (fits && ++matches > 1)
            return error_set_usage(err, "option '%s' is ambiguous; see pyanalyze --help", word);
    }
    return error_set_usage(err, "there is no option '%s'; see pyanalyze --help", word);
}

static int parse_words(struct options *options, int argc, char **argv, struct error *err)
{
    struct getopt_tables tables = {.letters = ""};
    int result;

    make_getopt_tables(&tables);
    opterr = 0;
    optind = 0; /* starts afresh, also when called a second time */
    while ((result = getopt_long(argc, argv, tables.letters, tables.longs, NULL)) != -1) {
        const struct rule *rule;

        if (result == '?' || result == ':')
            return bad_option(result, argv, err);
        rule = find_rule(result);
        if (rule->apply(options, rule, optarg, err) < 0)
            return -1;
    }
    for (int i = optind; i < argc; i++) {
        if (options_list_append(&options->inputs, argv[i], err) < 0)
            return -1;
    }
    return 0;
}

int options_parse(struct options *options, int argc, char **argv, struct error *err)
{
    memset(options, 0, sizeof *options);
    options->format = (struct format_options)FORMAT_OPTIONS_DEFAULT;
    if (parse_words(options, argc, argv, err) < 0)
        return -1;
    if (options->action != OPTIONS_ANALYZE)
        return 0;
    return options_settle(options, err);
}

void options_fini(struct options *options)
{
    free(options->inputs.items);
    free(options->sort_words.items);
    free(options->sorts.items);
    free(options->sort_text);
    free(options->restricts.items);
    free(options->reports);
    free(options->queries.items);
    free(options->files.items);
    free(options->windows.items);
    pattern_list_free(options->patterns);
    memset(options, 0, sizeof *options);
}

static void help_rule(FILE *out, const struct rule *rule)
{
    char left[64];

    if (rule->help == NULL) {
        fprintf(out, "%s\n", rule->name);
        return;
    }
    snprintf(left, sizeof left, "%c%c%c --%s%s%s", rule->letter ? '-' : ' ',
             rule->letter ? rule->letter : ' ', rule->letter ? ',' : ' ', rule->name,
             rule->argument != NULL ? " " : "", rule->argument != NULL ? rule->argument : "");
    fprintf(out, "  %-26s %s\n", left, rule->help);
}

char *options_help(void)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        return NULL;
    fputs("usage: pyanalyze [TRACE|DATABASE...] [options]\n"
          "Reads what pyrec recorded (trace.bin) and reports where its time went.\n"
          "Nothing asked: the annotated source, hottest file first, on standard output.\n",
          out);
    for (int i = 0; i < RULE_COUNT; i++)
        help_rule(out, &rules[i]);
    fputs("Formats:\n", out);
    for (const struct format *const *format = formats; *format != NULL; format++)
        fprintf(out, "  %-12s %s\n", (*format)->name, (*format)->summary);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
