/* ranking.c - the formats `lines` and `functions`: what leads, and nothing else. */
#include <string.h>

#include "formats/annotate.h"
#include "formats/catalog.h"
#include "formats/error.h"
#include "formats/format.h"
#include "formats/output.h"
#include "formats/query.h"

enum { MOST = 20 };

/* --top decides; --min-percent alone lists all that is not below. */
static struct annotate_ranking ranking_of(const struct format_options *options,
                                          enum annotate_subject what)
{
    return (struct annotate_ranking){
        .what = what,
        .most = options->top > 0           ? options->top
                : options->min_percent < 0 ? MOST
                                           : 0,
        .least_percent = options->min_percent > 0 ? options->min_percent : 0,
        .tells_rest = true,
    };
}

/* A ranking of its own for each thread, in which 100 % is the thread's time. */
static int print_thread(struct annotate *report, struct annotate_ranking *ranking,
                        struct query *query)
{
    size_t size;
    const char *name = query_text(query, 1, &size);

    ranking->thread_id = query_int(query, 0);
    report->total_ns = query_sum(query, 4);
    annotate_start(report);
    text_add_printable(&report->row, name, size);
    text_add_format(&report->row, " [%lld] of process %lld: 100 %% is ",
                    (long long)query_int(query, 2), (long long)query_int(query, 3));
    annotate_add_time(report, report->total_ns);
    annotate_print(report, ANNOTATE_BOLD);
    return annotate_hottest(report, ranking);
}

static int print_threads(struct annotate *report, struct annotate_ranking *ranking)
{
    struct query query =
        query_open(report->db,
                   "SELECT t.thread_id, t.name, t.native_id, p.pid, a.self_ns FROM threads t "
                   "JOIN processes p ON p.process_id = t.process_id "
                   "JOIN accounts a ON a.thread_id = t.thread_id "
                   "ORDER BY a.self_cpu_ns DESC, a.self_ns DESC, t.thread_id",
                   report->err);
    int status = 0;

    while (status == 0 && query_next(&query))
        status = print_thread(report, ranking, &query);
    return query_close(&query) < 0 ? -1 : status;
}

static int print_ranking(struct annotate *report, enum annotate_subject what)
{
    struct annotate_ranking ranking = ranking_of(report->options, what);

    if ((what == ANNOTATE_LINES ? annotate_measure : annotate_measure_functions)(report) < 0 ||
        annotate_title(report) < 0)
        return -1;
    output_text(report->out, "\n");
    return report->options->per_thread ? print_threads(report, &ranking)
                                       : annotate_hottest(report, &ranking);
}

static int write_ranking(sqlite3 *db, const struct format_options *options, struct output *out,
                         struct error *err, enum annotate_subject what)
{
    struct annotate report;
    int status = annotate_begin(&report, db, options, out, err);

    return annotate_end(&report, status == 0 ? print_ranking(&report, what) : -1);
}

static int lines_write(sqlite3 *db, const struct format_options *options, struct output *out,
                       struct error *err)
{
    return write_ranking(db, options, out, err, ANNOTATE_LINES);
}

static int functions_write(sqlite3 *db, const struct format_options *options, struct output *out,
                           struct error *err)
{
    return write_ranking(db, options, out, err, ANNOTATE_FUNCTIONS);
}

static int lines_check(const struct format_options *options, struct error *err)
{
    static const char *const keys[] = {"cpu", "wall", "hits", "waiting", NULL};

    return format_check_sort(options, keys, err);
}

static int functions_check(const struct format_options *options, struct error *err)
{
    static const char *const keys[] = {"cpu",   "wall", "cumulative", "waiting",
                                       "calls", "hits", NULL};

    return format_check_sort(options, keys, err);
}

static bool ranking_recognize(const unsigned char *head, int size)
{
    static const char first[] = "Command line: ";

    return size >= (int)sizeof first - 1 && memcmp(head, first, sizeof first - 1) == 0;
}

static const char *const no_suffixes[] = {NULL};

extern const struct format format_lines, format_functions;
const struct format format_lines = {
    .name = "lines",
    .suffixes = no_suffixes,
    .summary = "the hottest lines of the run",
    .recognize = ranking_recognize,
    .check = lines_check,
    .write = lines_write,
};
const struct format format_functions = {
    .name = "functions",
    .suffixes = no_suffixes,
    .summary = "the functions that took most time",
    .recognize = ranking_recognize,
    .check = functions_check,
    .write = functions_write,
};
