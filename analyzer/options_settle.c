#include "analyzer/options_settle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/error.h"

int options_list_append(struct options_list *list, const char *item, struct error *err)
{
    const char **items = realloc(list->items, (list->count + 2) * sizeof *items);

    if (items == NULL)
        return error_set(err, "out of memory");
    items[list->count++] = item;
    items[list->count] = NULL;
    list->items = items;
    return 0;
}

void options_append_name(char *text, size_t size, const char *name)
{
    size_t used = strlen(text);

    snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", name);
}

/* "-" is standard output. */
static const char *output_path(const char *path)
{
    return path != NULL && strcmp(path, "-") == 0 ? NULL : path;
}

int options_add_report(struct options *options, const struct format *format, const char *path,
                       struct error *err)
{
    struct options_report *reports =
        realloc(options->reports, (options->report_count + 1) * sizeof *reports);

    if (reports == NULL)
        return error_set(err, "out of memory");
    reports[options->report_count++] = (struct options_report){format, output_path(path)};
    options->reports = reports;
    return 0;
}

int options_unknown_format(const char *option, const char *name, struct error *err)
{
    char known[512] = "";

    for (const struct format *const *format = formats; *format != NULL; format++)
        options_append_name(known, sizeof known, (*format)->name);
    return error_set_usage(err, "%s: '%s' fits no format; there are %s", option, name, known);
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), end_size = strlen(end);

    return size > end_size && strcmp(text + size - end_size, end) == 0;
}

/* The kind of rows that a file name promises, or OPTIONS_ROWS_PLAIN. */
static int rows_guess(const char *path)
{
    static const struct options_word suffixes[] = {{".csv", OPTIONS_ROWS_CSV},
                                                   {".json", OPTIONS_ROWS_JSON},
                                                   {".tsv", OPTIONS_ROWS_TSV},
                                                   {".tab", OPTIONS_ROWS_TSV},
                                                   {NULL, 0}};

    for (const struct options_word *suffix = suffixes; suffix->text != NULL; suffix++) {
        if (ends_with(path, suffix->text))
            return suffix->value;
    }
    return OPTIONS_ROWS_PLAIN;
}

static bool is_database_name(const char *path)
{
    return ends_with(path, ".db") || ends_with(path, ".sqlite") || ends_with(path, ".sqlite3");
}

/* -o goes to the one --format that names no file. */
static int settle_output_of_format(struct options *options, struct error *err)
{
    struct options_report *open = NULL;

    for (size_t i = 0; i < options->report_count; i++) {
        if (options->reports[i].path != NULL)
            continue;
        if (open != NULL)
            return error_set_usage(err, "-o: both %s and %s want it; write --format NAME=FILE",
                                   open->format->name, options->reports[i].format->name);
        open = &options->reports[i];
    }
    if (open != NULL) {
        open->path = options->output;
        options->output = NULL;
    }
    return 0;
}

/* -o that no --format took: its name says what it is, or it is for the rows of --sql. */
static int settle_output_by_name(struct options *options, struct error *err)
{
    const char *path = options->output;
    const struct format *format = format_guess(path);
    int rows = rows_guess(path);
    bool may_be_rows =
        rows != OPTIONS_ROWS_PLAIN || format == format_find("annotate"); /* any text */

    if (is_database_name(path)) {
        if (options->database_path != NULL)
            return error_set_usage(err, "-o %s: the database goes to %s", path,
                                   options->database_path);
        options->database_path = path;
        return 0;
    }
    if (format != NULL && (options->queries.count == 0 || !may_be_rows))
        return options_add_report(options, format, path, err);
    if (options->queries.count > 0) {
        options->rows_path = path;
        if (options->rows == OPTIONS_ROWS_PLAIN)
            options->rows = rows != OPTIONS_ROWS_PLAIN ? rows : OPTIONS_ROWS_TSV;
        return 0;
    }
    if (rows != OPTIONS_ROWS_PLAIN)
        return error_set_usage(err, "-o %s: that is for the rows of --sql", path);
    return options_unknown_format("-o", path, err);
}

static int settle_output(struct options *options, struct error *err)
{
    options->output = output_path(options->output);
    if (options->output != NULL && settle_output_of_format(options, err) < 0)
        return -1;
    if (options->output != NULL && settle_output_by_name(options, err) < 0)
        return -1;
    if (options->queries.count == 0 && options->rows != OPTIONS_ROWS_PLAIN)
        return error_set_usage(err, "%s: that is for the rows of --sql",
                               options->rows == OPTIONS_ROWS_CSV ? "--csv" : "--json");
    return 0;
}

static bool is_checked(const struct format *format, const struct options *options)
{
    struct error ignored = {.usage = 0};

    return format->check != NULL && format->check(&options->format, &ignored) == 0;
}

/* Keys that no report asked for would need: some format must know them all the same. */
static int check_sorts(const struct options *options, struct error *err)
{
    for (const struct format *const *format = formats; *format != NULL; format++)
        if (is_checked(*format, options))
            return 0;
    return error_set_usage(err, "--sort: no format has '%s'", options->sorts.items[0]);
}

/* An option that only some formats heed. */
struct special {
    const char *option;
    bool given;
    unsigned heeds;
};

static bool is_heeded(const struct options *options, unsigned heeds)
{
    for (size_t i = 0; i < options->report_count; i++)
        if ((options->reports[i].format->heeds & heeds) != 0)
            return true;
    return false;
}

static int refuse_special(const struct special *special, struct error *err)
{
    char names[128] = "";

    for (const struct format *const *format = formats; *format != NULL; format++)
        if (((*format)->heeds & special->heeds) != 0)
            options_append_name(names, sizeof names, (*format)->name);
    return error_set_usage(err, "%s is for --format %s", special->option, names);
}

/* What only some formats heed is not ignored in silence. */
static int check_specials(const struct options *options, struct error *err)
{
    const struct format_options *format = &options->format;
    const struct special specials[] = {
        {"--from", format->from.given, FORMAT_HEEDS_TIME},
        {"--to", format->to.given, FORMAT_HEEDS_TIME},
        {"--function", format->function != NULL, FORMAT_HEEDS_TIME},
        {"--reverse", format->reverse, FORMAT_HEEDS_PSTATS},
        {"--restrict", options->restricts.count > 0, FORMAT_HEEDS_PSTATS},
        {"--strip-dirs", format->strip_dirs, FORMAT_HEEDS_PSTATS},
        {"--callers", format->callers, FORMAT_HEEDS_PSTATS},
        {"--callees", format->callees, FORMAT_HEEDS_PSTATS},
        {"--by", format->weight != FORMAT_WEIGHT_SELF, FORMAT_HEEDS_WEIGHT},
    };

    for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++)
        if (specials[i].given && !is_heeded(options, specials[i].heeds))
            return refuse_special(&specials[i], err);
    return 0;
}

/* Here '-' would be a file of that name, which nobody means. */
static int check_files(const struct options *options, struct error *err)
{
    const char *option = NULL;

    if (options->database_path != NULL && strcmp(options->database_path, "-") == 0)
        option = "--db";
    else if (options->zip_path != NULL && strcmp(options->zip_path, "-") == 0)
        option = "--zipfile";
    return option == NULL
               ? 0
               : error_set_usage(err, "%s: it needs a file; ./- is one called '-'", option);
}

/* Every report must be able to do what was asked. */
static int check_reports(const struct options *options, struct error *err)
{
    bool sorted = options->sorts.count == 0;

    for (size_t i = 0; i < options->report_count; i++) {
        const struct format *format = options->reports[i].format;

        if (format->check == NULL)
            continue;
        if (format->check(&options->format, err) < 0)
            return -1;
        sorted = true;
    }
    return sorted ? 0 : check_sorts(options, err);
}

/* Keys come one an option, or several between commas. */
static int split_sorts(struct options *options, struct error *err)
{
    size_t size = 1;
    char *next;

    for (size_t i = 0; i < options->sort_words.count; i++)
        size += strlen(options->sort_words.items[i]) + 1;
    next = options->sort_text = malloc(size);
    if (next == NULL)
        return error_set(err, "out of memory");
    for (size_t i = 0; i < options->sort_words.count; i++) {
        char *rest = next;

        next = stpcpy(next, options->sort_words.items[i]) + 1;
        for (char *key; (key = strsep(&rest, ",")) != NULL;) {
            if (key[0] == '\0')
                return error_set_usage(err, "--sort: a key is empty");
            if (options_list_append(&options->sorts, key, err) < 0)
                return -1;
        }
    }
    return 0;
}

static int settle_sorts(struct options *options, struct error *err)
{
    int value;

    if (split_sorts(options, err) < 0)
        return -1;
    value = options->sorts.count == 1 ? format_sort_value(options->sorts.items[0]) : -1;
    options->format.sorts = options->sorts.items;
    if (value >= 0)
        options->format.sort = (enum format_sort)value;
    return 0;
}

static int settle_defaults(struct options *options, struct error *err)
{
    bool nothing = options->report_count == 0 && options->zip_path == NULL &&
                   options->database_path == NULL && options->queries.count == 0;

    if (nothing && options_add_report(options, format_find("annotate"), NULL, err) < 0)
        return -1;
    options->inputs_defaulted = options->inputs.count == 0;
    if (options->inputs_defaulted && options_list_append(&options->inputs, "trace.bin", err) < 0)
        return -1;
    options->format.files = options->files.items;
    options->format.zipped = options->zip_path != NULL;
    options->format.zip_path = options->zip_path;
    options->format.restricts = options->restricts.items;
    if (check_specials(options, err) < 0 || check_files(options, err) < 0 ||
        settle_sorts(options, err) < 0)
        return -1;
    return check_reports(options, err);
}

int options_settle(struct options *options, struct error *err)
{
    return settle_output(options, err) < 0 ? -1 : settle_defaults(options, err);
}
