#include "formats/format.h"

#include <stdio.h>
#include <string.h>

#include "formats/error.h"
#include "formats/output.h"
#include "formats/query.h"
#include "formats/trace/pattern.h"

extern const struct format format_annotate;
extern const struct format format_callgrind;
extern const struct format format_callgrindzip;
extern const struct format format_chrometrace;
extern const struct format format_compare;
extern const struct format format_flamegraph;
extern const struct format format_folded;
extern const struct format format_functions;
extern const struct format format_lcov;
extern const struct format format_lines;
extern const struct format format_pprofile;
extern const struct format format_pstats;
extern const struct format format_samples;
extern const struct format format_speedscope;
extern const struct format format_stats;
extern const struct format format_summary;
extern const struct format format_trace;
extern const struct format format_tree;
extern const struct format format_zip;

const struct format *const formats[] = {
    &format_annotate,
    &format_callgrind,
    &format_callgrindzip,
    &format_chrometrace,
    &format_compare,
    &format_flamegraph,
    &format_folded,
    &format_functions,
    &format_lcov,
    &format_lines,
    &format_pprofile,
    &format_pstats,
    &format_samples,
    &format_speedscope,
    &format_stats,
    &format_summary,
    &format_trace,
    &format_tree,
    &format_zip,
    NULL,
};

const struct format *format_find(const char *name)
{
    for (size_t i = 0; formats[i] != NULL; i++)
        if (strcmp(formats[i]->name, name) == 0)
            return formats[i];
    return NULL;
}

/* A suffix, or a prefix that ends in '.', with something left over for the rest of the name. */
static bool name_fits(const char *name, const char *affix)
{
    size_t size = strlen(name), part = strlen(affix);

    if (size <= part)
        return false;
    if (affix[part - 1] == '.')
        return memcmp(name, affix, part) == 0;
    return memcmp(name + size - part, affix, part) == 0;
}

const struct format *format_guess(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;

    for (size_t i = 0; formats[i] != NULL; i++)
        for (const char *const *affix = formats[i]->suffixes; *affix != NULL; affix++)
            if (name_fits(name, *affix))
                return formats[i];
    return NULL;
}

int format_sort_value(const char *key)
{
    static const char *const keys[] = {
        [FORMAT_SORT_CPU] = "cpu",         [FORMAT_SORT_WALL] = "wall",
        [FORMAT_SORT_HITS] = "hits",       [FORMAT_SORT_CUMULATIVE] = "cumulative",
        [FORMAT_SORT_WAITING] = "waiting", [FORMAT_SORT_CALLS] = "calls",
    };

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(key, keys[i]) == 0)
            return (int)i;
    return -1;
}

int format_check_sort(const struct format_options *options, const char *const *keys,
                      struct error *err)
{
    const char *const *asked = options->sorts;
    char known[128] = "";

    if (asked == NULL)
        return 0;
    for (const char *const *key = keys; *key != NULL; key++) {
        size_t used = strlen(known);

        if (asked[1] == NULL && strcmp(asked[0], *key) == 0)
            return 0;
        snprintf(known + used, sizeof known - used, "%s%s", used > 0 ? ", " : "", *key);
    }
    return asked[1] == NULL
               ? error_set_usage(err, "--sort: '%s' is not one of %s", asked[0], known)
               : error_set_usage(err, "--sort: only one key is possible, of %s", known);
}

int format_write_threads(sqlite3 *db, struct output *out,
                         int (*write_part)(void *context, int64_t thread_id), void *context,
                         struct error *err)
{
    struct query query = query_open(db, "SELECT thread_id FROM threads ORDER BY thread_id", err);
    unsigned number = 0;
    int status = 0;

    while (status == 0 && query_next(&query)) {
        char suffix[16];

        snprintf(suffix, sizeof suffix, "-%02u", ++number);
        if (number > 1)
            status = output_next_file(out, suffix, err);
        if (status == 0)
            status = write_part(context, query_int(&query, 0));
    }
    if (query_close(&query) < 0)
        return -1;
    return status == 0 && number == 0 ? write_part(context, 0) : status;
}

void format_advise_whole(const struct format_options *options, const char *path, char *text,
                         size_t size)
{
    (void)path;
    snprintf(text, size, "%s",
             options->files == NULL ? ""
                                    : "--file shortens annotated source and the zip only; "
                                      "callgrind, folded and flame graphs are of all files");
}

void format_advise_unsplit(const struct format_options *options, const char *name, char *text,
                           size_t size)
{
    text[0] = '\0';
    if (options->per_thread)
        snprintf(text, size, "%s: --per-thread does not split it; --thread NAME shows one thread",
                 name);
}

bool format_file_matches(const char *const *patterns, const char *path)
{
    bool shown = patterns == NULL || (*patterns != NULL && **patterns == '!');

    for (; patterns != NULL && *patterns != NULL; patterns++) {
        bool hides = **patterns == '!';

        if (pattern_matches(*patterns + hides, path))
            shown = !hides;
    }
    return shown;
}
