/* annotate.c - the source of every file that took time, each line with its hits and times.
 *
 * pprofile's columns in pprofile's order, so that its readers feel at home, then cumulative and
 * waiting time. Unless
 * --min-percent says otherwise, files that hardly matter are listed by name only, and of library
 * files the stretches that matter are shown: what was left out is said, with its time and the
 * option that brings it back.
 */
#include <stdlib.h>
#include <string.h>

#include "formats/annotate.h"
#include "formats/catalog.h"
#include "formats/error.h"
#include "formats/format.h"
#include "formats/output.h"
#include "formats/query.h"

enum { OTHERS_MAX = 10, HOTTEST = 10 };

/* Files below these shares of the total are not listed unless --min-percent says so. */
static const double least_percent_own = 0.1;
static const double least_percent_other = 1.0;

/* ---- the files ---- */

struct file_list {
    struct annotate_file *files; /* owned */
    size_t count;
};

static uint64_t weight_of(const struct annotate_figures *figures, enum format_sort sort)
{
    return sort == FORMAT_SORT_CPU    ? figures->cpu_ns
           : sort == FORMAT_SORT_WALL ? figures->ns
                                      : figures->hits;
}

static int compare_files(const struct annotate_file *left, const struct annotate_file *right,
                         enum format_sort sort)
{
    uint64_t a = weight_of(&left->sum, sort), b = weight_of(&right->sum, sort);

    if (a == b) {
        a = left->sum.ns;
        b = right->sum.ns;
    }
    if (a != b)
        return a < b ? 1 : -1;
    return strcmp(left->file->path, right->file->path);
}

static int by_cpu(const void *a, const void *b)
{
    return compare_files(a, b, FORMAT_SORT_CPU);
}

static int by_wall(const void *a, const void *b)
{
    return compare_files(a, b, FORMAT_SORT_WALL);
}

static int by_hits(const void *a, const void *b)
{
    return compare_files(a, b, FORMAT_SORT_HITS);
}

static int load_files(struct annotate *report, struct file_list *list)
{
    static int (*const orders[])(const void *, const void *) = {
        [FORMAT_SORT_CPU] = by_cpu, [FORMAT_SORT_WALL] = by_wall, [FORMAT_SORT_HITS] = by_hits};
    struct query query =
        query_open(report->db,
                   "SELECT file_id, SUM(hits), SUM(self_ns), SUM(self_cpu_ns) FROM lines "
                   "GROUP BY file_id HAVING SUM(hits) > 0 OR SUM(self_ns) > 0",
                   report->err);

    list->files = calloc(report->catalog->file_count + 1, sizeof *list->files);
    if (list->files == NULL)
        error_set(report->err, "out of memory");
    while (list->files != NULL && query_next(&query)) {
        const struct catalog_file *file = catalog_file(report->catalog, query_int(&query, 0));

        if (file != NULL && list->count < report->catalog->file_count)
            list->files[list->count++] = (struct annotate_file){
                .file = file,
                .sum = {.hits = query_sum(&query, 1),
                        .ns = query_sum(&query, 2),
                        .cpu_ns = query_sum(&query, 3)},
            };
    }
    if (list->files != NULL)
        qsort(list->files, list->count, sizeof *list->files, orders[report->options->sort]);
    return query_close(&query) < 0 || list->files == NULL ? -1 : 0;
}

/* Files that are not listed. */
struct omitted {
    size_t count;
    uint64_t ns;
};

static void omit(struct omitted *omitted, const struct annotate_file *file)
{
    omitted->count++;
    omitted->ns += file->sum.ns;
}

/* Does the file take enough of the run to be listed? */
static bool matters(const struct annotate *report, const struct annotate_file *file)
{
    double percent = report->options->min_percent;
    double total =
        (double)(report->options->sort == FORMAT_SORT_HITS ? report->catalog->total_hits
                                                           : report->catalog->total_self_ns);
    uint64_t weight = report->options->sort == FORMAT_SORT_HITS ? file->sum.hits : file->sum.ns;

    if (percent < 0 && file->file->origin == CATALOG_OTHER && !file->file->has_source)
        return false; /* figures without a text */
    if (percent < 0)
        percent = file->file->origin == CATALOG_PROGRAM ? least_percent_own : least_percent_other;
    return (double)weight >= percent / 100 * total;
}

static void print_omitted(struct annotate *report, const struct omitted *omitted, const char *why)
{
    if (omitted->count == 0)
        return;
    annotate_start(report);
    text_add_format(&report->row, "Left out: %zu %s with ", omitted->count,
                    omitted->count == 1 ? "file" : "files");
    annotate_add_time(report, omitted->ns);
    text_add_string(&report->row, " (");
    annotate_add_share(report, omitted->ns);
    text_add_format(&report->row, ")%s", why);
    annotate_print(report, NULL);
}

/* The files that matter little, the first of them by name. */
static void print_others(struct annotate *report, const struct file_list *list,
                         const struct omitted *small)
{
    static const enum annotate_column columns[] = {ANNOTATE_PERCENT, ANNOTATE_TIME, ANNOTATE_HITS};
    bool by_default = report->options->min_percent < 0;
    size_t shown = 0;

    print_omitted(report, small,
                  by_default ? ", below 0.1 % (the program's own) or 1 % (others), or frozen; "
                               "--min-percent 0 lists all"
                             : ", each below --min-percent");
    if (small->count == 0)
        return;
    annotate_headings(report, columns, sizeof columns / sizeof columns[0], "File");
    for (size_t i = 0; i < list->count && shown < OTHERS_MAX; i++) {
        const struct annotate_file *file = &list->files[i];

        if (matters(report, file) ||
            !format_file_matches(report->options->files, file->file->raw_path))
            continue;
        annotate_start(report);
        annotate_percent(report, file->sum.ns);
        annotate_time(report, ANNOTATE_TIME, file->sum.ns);
        annotate_count(report, ANNOTATE_HITS, file->sum.hits);
        text_add_string(&report->row, file->file->shown);
        annotate_print(report, NULL);
        shown++;
    }
    if (small->count > shown)
        annotate_more(report, "", small->count - shown, "");
}

static int print_file(struct annotate *report, struct annotate_file *file)
{
    const struct format_options *options = report->options;

    file->fold =
        options->fold || (options->min_percent < 0 && file->file->origin != CATALOG_PROGRAM);
    return annotate_source(report, file);
}

static int print_files(struct annotate *report, struct file_list *list)
{
    struct omitted unmatched = {0}, small = {0}, beyond = {0};
    size_t printed = 0;

    for (size_t i = 0; i < list->count; i++) {
        struct annotate_file *file = &list->files[i];

        if (!format_file_matches(report->options->files, file->file->raw_path)) {
            omit(&unmatched, file);
        } else if (!matters(report, file)) {
            omit(&small, file);
        } else if (report->options->top > 0 && printed >= (size_t)report->options->top) {
            omit(&beyond, file);
        } else {
            printed++;
            if (print_file(report, file) < 0)
                return -1;
        }
    }
    print_omitted(report, &unmatched, " by --file");
    print_omitted(report, &beyond, " by --top");
    print_others(report, list, &small);
    return 0;
}

/* ---- the whole ---- */

static int print_report(struct annotate *report)
{
    static const struct annotate_ranking hottest = {.what = ANNOTATE_LINES, .most = HOTTEST};
    struct file_list list = {0};
    int status = -1;

    if (annotate_measure(report) == 0 && load_files(report, &list) == 0 &&
        annotate_header(report) == 0 && annotate_hottest(report, &hottest) == 0)
        status = print_files(report, &list);
    free(list.files);
    return status;
}

static int annotate_write(sqlite3 *db, const struct format_options *options, struct output *out,
                          struct error *err)
{
    struct annotate report;
    int status = annotate_begin(&report, db, options, out, err);

    return annotate_end(&report, status == 0 ? print_report(&report) : -1);
}

static int annotate_check(const struct format_options *options, struct error *err)
{
    static const char *const keys[] = {"cpu", "wall", "hits", NULL};

    return format_check_sort(options, keys, err);
}

static bool annotate_recognize(const unsigned char *head, int size)
{
    static const char first[] = "Command line: ";

    return size >= (int)sizeof first - 1 && memcmp(head, first, sizeof first - 1) == 0;
}

static void annotate_advise(const struct format_options *options, const char *path, char *text,
                            size_t size)
{
    (void)path;
    format_advise_unsplit(options, "annotate", text, size);
}

static const char *const suffixes[] = {".txt", ".annotate", NULL};

extern const struct format format_annotate;
const struct format format_annotate = {
    .name = "annotate",
    .suffixes = suffixes,
    .summary = "source with hits and times of every line (the default)",
    .recognize = annotate_recognize,
    .check = annotate_check,
    .write = annotate_write,
    .advise = annotate_advise,
};
