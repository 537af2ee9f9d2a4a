/* summary.c - where the time went, on one screen of 80 columns and 24 rows.
 *
 * Lists side by side, each with the few that lead: lines that worked and lines that waited,
 * functions by their own time and with what they call, files, packages, threads, processes.
 * Percents are of the time of all threads; "work" is on a processor, the rest is "wait". The screen
 * is the same everywhere: not wider on a wide terminal, and no different in a pipe.
 */
#include <string.h>

#include "formats/annotate.h"
#include "formats/catalog.h"
#include "formats/error.h"
#include "formats/format.h"
#include "formats/output.h"
#include "formats/query.h"

enum { COLUMNS = 80, HALF = 39, ENTRIES_MAX = 5, PERCENT = 6 };

/* ---- the lists ---- */

/* What stands before the first slash of a file's name; of a module alone, the module. */
#define PACKAGE                                                                                    \
    "CASE WHEN origin = 'program' AND instr(name, '/') = 0 THEN '(the program)' "                  \
    "WHEN substr(name, 1, 1) = '<' THEN name "                                                     \
    "WHEN instr(name, '/') > 1 THEN substr(name, 1, instr(name, '/') - 1) "                        \
    "WHEN name LIKE '_%.py' THEN substr(name, 1, length(name) - 3) ELSE name END "                 \
    "|| CASE origin WHEN 'stdlib' THEN ' (stdlib)' WHEN 'site' THEN ' (site)' ELSE '' END"

/* Of C functions, which have no lines, the file alone. */
#define LINE "SELECT file_id, line, CASE WHEN line > 0 THEN function ELSE '' END"

/* A list takes half of the screen. Columns of its query: file_id or NULL, line or 0, name, and the
 * time of each percent. */
struct list {
    const char *title;
    const char *heads[2]; /* what the percents are; NULL: there is but one */
    int most;
    const char *sql;
};

static const struct list lists[] = {
    {"Lines",
     {"work", NULL},
     5,
     LINE ", self_cpu_ns FROM lines WHERE self_cpu_ns > 0 "
          "ORDER BY self_cpu_ns DESC, file, line, file_id"},
    {"Lines",
     {"wait", NULL},
     5,
     LINE ", self_ns - self_cpu_ns FROM lines "
          "WHERE self_ns > self_cpu_ns ORDER BY self_ns - self_cpu_ns DESC, file, line, file_id"},
    {"Functions by own time",
     {"own", NULL},
     4,
     "SELECT file_id, first_line, qualname, self_ns FROM functions "
     "WHERE self_ns > 0 AND kind <> 'outside' ORDER BY self_ns DESC, file, first_line, qualname"},
    {"Functions with all they call",
     {"total", NULL},
     4,
     "SELECT file_id, first_line, qualname, cumulative_ns FROM functions "
     "WHERE cumulative_ns > 0 AND kind <> 'outside' "
     "ORDER BY cumulative_ns DESC, self_ns, file, first_line, qualname"},
    {"Files",
     {"work", "wait"},
     3,
     "SELECT file_id, 0, '', SUM(self_cpu_ns), SUM(self_ns - self_cpu_ns) FROM lines "
     "GROUP BY file_id HAVING SUM(self_ns) > 0 ORDER BY SUM(self_ns) DESC, file, file_id"},
    {"Packages",
     {"work", "wait"},
     3,
     "SELECT NULL, 0, " PACKAGE ", SUM(l.self_cpu_ns), SUM(l.self_ns - l.self_cpu_ns) "
     "FROM lines l JOIN files USING (file_id) GROUP BY 3 HAVING SUM(l.self_ns) > 0 "
     "ORDER BY SUM(l.self_ns) DESC, 3"},
    {"Threads",
     {"work", "wait"},
     3,
     "SELECT NULL, 0, t.name || ' [' || t.native_id || ']', a.self_cpu_ns, "
     "a.self_ns - a.self_cpu_ns FROM accounts a JOIN threads t USING (thread_id) "
     "ORDER BY a.self_cpu_ns DESC, a.self_ns DESC, thread_id"},
    {"Processes",
     {"work", "wait"},
     3,
     "SELECT NULL, 0, p.pid || ' ' || p.command, SUM(a.self_cpu_ns), "
     "SUM(a.self_ns - a.self_cpu_ns) FROM accounts a JOIN threads t USING (thread_id) "
     "JOIN processes p USING (process_id) GROUP BY process_id "
     "ORDER BY SUM(a.self_cpu_ns) DESC, process_id"},
};

/* ---- half rows ---- */

struct half {
    struct text figures;
    struct text name;
    uint64_t ns; /* decides the colour */
};

static int figures_width(const struct list *list)
{
    return list->heads[1] == NULL ? PERCENT : 2 * PERCENT + 1;
}

static void add_percent(struct annotate *report, struct text *text, uint64_t part)
{
    uint64_t tenths = (annotate_hundredths(report, part) + 5) / 10;

    text_add_format(text, "%3llu.%llu%%", (unsigned long long)(tenths / 10),
                    (unsigned long long)(tenths % 10));
}

static void add_name(struct annotate *report, struct query *query, struct text *text)
{
    const struct catalog_file *file = catalog_file(report->catalog, query_int(query, 0));
    int64_t line = query_int(query, 1);
    size_t size;
    const char *name = query_text(query, 2, &size);

    if (file != NULL && (line > 0 || size == 0))
        text_add_string(text, file->shown);
    if (line > 0)
        text_add_format(text, ":%lld ", (long long)line);
    text_add_printable(text, name, size);
}

static void fill_half(struct annotate *report, const struct list *list, struct query *query,
                      struct half *half)
{
    half->ns = query_sum(query, 3);
    add_percent(report, &half->figures, half->ns);
    if (list->heads[1] != NULL) {
        half->ns += query_sum(query, 4);
        text_add_string(&half->figures, " ");
        add_percent(report, &half->figures, query_sum(query, 4));
    }
    add_name(report, query, &half->name);
}

static bool is_wanted(const struct annotate *report, const struct list *list,
                      const struct query *query)
{
    const struct format_options *options = report->options;
    const struct catalog_file *file = catalog_file(report->catalog, query_int(query, 0));
    uint64_t ns = query_sum(query, 3) + (list->heads[1] != NULL ? query_sum(query, 4) : 0);

    if (file != NULL && !format_file_matches(options->files, file->raw_path))
        return false;
    return options->min_percent <= 0 ||
           (double)ns >= options->min_percent / 100 * (double)report->total_ns;
}

static int load_list(struct annotate *report, const struct list *list, struct half *halves,
                     int *count)
{
    struct query query = query_open(report->db, list->sql, report->err);
    int top = report->options->top, most = top > 0 && top < list->most ? top : list->most;

    for (*count = 0; *count < most && query_next(&query);)
        if (is_wanted(report, list, &query))
            fill_half(report, list, &query, &halves[(*count)++]);
    return query_close(&query);
}

/* ---- printing ---- */

/* Colours only where they cannot be cut in two. */
static bool is_coloured(const struct annotate *report)
{
    return report->colour && (report->width == 0 || report->width >= COLUMNS);
}

static void add_styled(struct annotate *report, const char *style, const struct text *text)
{
    bool styled = style != NULL && is_coloured(report);

    if (styled)
        text_add_format(&report->row, "\033[%sm", style);
    text_add(&report->row, text->at, text->size);
    if (styled)
        text_add_string(&report->row, "\033[0m");
}

/* Codes in the row take no room, so that it is not cut. */
static void print_row(struct annotate *report)
{
    struct text *row = &report->row;

    if (!is_coloured(report)) {
        annotate_print(report, NULL);
        return;
    }
    while (row->size > 0 && row->at[row->size - 1] == ' ')
        row->size--;
    text_add_string(row, "\n");
    output_write(report->out, row->at, row->size);
}

static void add_title(struct annotate *report, const struct list *list)
{
    struct text title = {0};

    text_add_format(&title, "%*s", PERCENT - 1, list->heads[0]);
    if (list->heads[1] != NULL)
        text_add_format(&title, " %*s", PERCENT, list->heads[1]);
    text_add_format(&title, "   %s ", list->title);
    while (title.size < HALF && !title.failed)
        text_add_string(&title, "-");
    add_styled(report, ANNOTATE_BOLD, &title);
    report->row.failed |= title.failed;
    text_fini(&title);
}

static void add_half(struct annotate *report, const struct list *list, const struct half *half)
{
    int width = figures_width(list);

    report->row.failed |= half->figures.failed || half->name.failed;
    if (half->name.at == NULL) {
        text_add_spaces(&report->row, HALF);
        return;
    }
    add_styled(report, annotate_heat(report, half->ns), &half->figures);
    text_add_string(&report->row, "  ");
    annotate_add_place(report, &half->name, HALF - width - 2);
}

static void print_pair(struct annotate *report, const struct list *pair, struct half left,
                       struct half right)
{
    annotate_start(report);
    add_half(report, &pair[0], &left);
    text_add_string(&report->row, "  ");
    add_half(report, &pair[1], &right);
    print_row(report);
}

/* Two lists beside each other. */
static int print_lists(struct annotate *report, const struct list *pair)
{
    struct half halves[2][ENTRIES_MAX] = {{{{0}, {0}, 0}}};
    int counts[2] = {0, 0}, status = 0;

    for (int i = 0; i < 2 && status == 0; i++)
        status = load_list(report, &pair[i], halves[i], &counts[i]);
    annotate_start(report);
    add_title(report, &pair[0]);
    text_add_string(&report->row, "  ");
    add_title(report, &pair[1]);
    print_row(report);
    for (int i = 0; i < counts[0] || i < counts[1]; i++)
        print_pair(report, pair, halves[0][i], halves[1][i]);
    for (int i = 0; i < 2 * ENTRIES_MAX; i++) {
        text_fini(&halves[i / ENTRIES_MAX][i % ENTRIES_MAX].figures);
        text_fini(&halves[i / ENTRIES_MAX][i % ENTRIES_MAX].name);
    }
    return status;
}

/* ---- the header ---- */

static void add_count(struct text *row, uint64_t count, const char *one, const char *many)
{
    text_add_format(row, ", %llu %s", (unsigned long long)count, count == 1 ? one : many);
}

/* With three digits, unless a unit is asked for. */
static void add_duration(struct annotate *report, uint64_t ns)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"s", 1000000000}, {"ms", 1000000}, {"us", 1000}, {"ns", 1}};
    size_t i = 0;
    double value;

    if (report->options->unit != NULL) {
        annotate_add_time(report, ns);
        return;
    }
    while (units[i].ns > 1 && ns < units[i].ns)
        i++;
    value = (double)ns / (double)units[i].ns;
    text_add_format(&report->row, "%.*f %s",
                    value >= 99.95 || units[i].ns == 1 ? 0
                    : value >= 9.995                   ? 1
                                                       : 2,
                    value, units[i].name);
}

static void print_header_row(struct annotate *report, const char *style)
{
    report->row.size = text_fit(report->row.at, report->row.size, COLUMNS);
    annotate_print(report, style);
}

/* Of several runs the first one's command, and the sum of the rest. */
static int print_run(struct annotate *report)
{
    struct query query = query_open(
        report->db,
        "SELECT command, python, (SELECT SUM(duration_ns) FROM runs), (SELECT count(*) FROM runs), "
        "(SELECT count(*) FROM processes), (SELECT count(*) FROM threads), "
        "(SELECT SUM(events) FROM runs), (SELECT group_concat(DISTINCT mode) FROM runs) "
        "FROM runs ORDER BY run_id LIMIT 1",
        report->err);
    size_t size;
    const char *bytes;

    while (query_next(&query)) {
        annotate_start(report);
        bytes = query_text(&query, 0, &size);
        text_add_printable(&report->row, bytes, size);
        print_header_row(report, ANNOTATE_BOLD);
        annotate_start(report);
        add_duration(report, query_sum(&query, 2));
        text_add_string(&report->row, ", Python ");
        bytes = query_text(&query, 1, &size);
        text_add_printable(&report->row, bytes, size);
        if (query_sum(&query, 3) > 1)
            add_count(&report->row, query_sum(&query, 3), "run", "runs");
        add_count(&report->row, query_sum(&query, 4), "process", "processes");
        add_count(&report->row, query_sum(&query, 5), "thread", "threads");
        bytes = query_text(&query, 7, &size);
        if (strcmp(bytes, "exact") == 0)
            add_count(&report->row, query_sum(&query, 6), "event", "events");
        else
            add_count(&report->row, query_sum(&query, 6), "sample", "samples");
        print_header_row(report, NULL);
    }
    return query_close(&query);
}

static void print_total(struct annotate *report)
{
    uint64_t cpu_ns = report->catalog->total_self_cpu_ns;

    annotate_start(report);
    text_add_string(&report->row, "100 % is ");
    add_duration(report, report->total_ns);
    text_add_string(&report->row, " of all threads:");
    add_percent(report, &report->row, cpu_ns);
    text_add_string(&report->row, " at work,");
    add_percent(report, &report->row, annotate_waiting(report->total_ns, cpu_ns));
    text_add_string(&report->row, " waiting");
    if (report->catalog->outside_ns > 0) {
        text_add_string(&report->row, "; outside");
        add_percent(report, &report->row, report->catalog->outside_ns);
    }
    print_header_row(report, NULL);
}

/* One row at most: what there is to say fills more than a screen elsewhere. */
static int print_warnings(struct annotate *report)
{
    uint64_t warnings, incomplete;

    if (query_number(report->db, "SELECT count(*) FROM warnings", &warnings, report->err) < 0 ||
        query_number(report->db, "SELECT count(*) FROM runs WHERE NOT complete OR lost_events > 0",
                     &incomplete, report->err) < 0)
        return -1;
    if (warnings + incomplete == 0)
        return 0;
    annotate_start(report);
    text_add_format(&report->row, "Warning: %s; --format annotate says more",
                    incomplete > 0 ? "the recording is not complete" : "something is amiss");
    annotate_print(report, "1;33");
    return 0;
}

static int print_summary(struct annotate *report)
{
    if (print_run(report) < 0)
        return -1;
    print_total(report);
    if (print_warnings(report) < 0)
        return -1;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i += 2)
        if (print_lists(report, &lists[i]) < 0)
            return -1;
    return 0;
}

/* ---- the format ---- */

static int summary_write(sqlite3 *db, const struct format_options *options, struct output *out,
                         struct error *err)
{
    struct annotate report;
    int status = annotate_begin(&report, db, options, out, err);

    return annotate_end(&report, status == 0 ? print_summary(&report) : -1);
}

/* Its second row begins with a time, its third is this. */
static bool summary_recognize(const unsigned char *head, int size)
{
    static const char third[] = "\n100 % is ";

    return size > 0 && memmem(head, (size_t)size, third, sizeof third - 1) != NULL;
}

static void summary_advise(const struct format_options *options, const char *path, char *text,
                           size_t size)
{
    (void)path;
    format_advise_unsplit(options, "summary", text, size);
}

static const char *const no_suffixes[] = {NULL};

extern const struct format format_summary;
const struct format format_summary = {
    .name = "summary",
    .suffixes = no_suffixes,
    .summary = "where the time went, on one screen",
    .recognize = summary_recognize,
    .write = summary_write,
    .advise = summary_advise,
};
