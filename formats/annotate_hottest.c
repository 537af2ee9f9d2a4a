#include "formats/annotate.h"

#include <stdio.h>
#include <string.h>

#include "formats/catalog.h"
#include "formats/format.h"
#include "formats/output.h"
#include "formats/query.h"

enum { PLACE_MAX = 42, SQL_MAX = 1024 };

/* ---- what is ranked ---- */

/* Columns of every query. */
enum { FILE_ID, LINE, FUNCTION, COUNT, SELF, SELF_CPU, CUMULATIVE, HITS, TEXT, VARIANCE };

static const char *const rows_sql[2][2] = {
    [ANNOTATE_LINES] =
        {
            "SELECT file_id, line, function, hits AS calls, self_ns, self_cpu_ns, cumulative_ns, "
            "hits, text, 1.0 * error_ns * error_ns, file FROM lines WHERE hits > 0 OR self_ns > 0",
            "SELECT f.file_id, s.line, f.qualname AS function, SUM(s.hits) AS calls, "
            "SUM(s.self_ns) AS self_ns, SUM(s.self_cpu_ns) AS self_cpu_ns, 0 AS cumulative_ns, "
            "SUM(s.hits) AS hits, (SELECT text FROM lines l WHERE l.file_id = f.file_id AND "
            "l.line = s.line) AS text, SUM(1.0 * s.error_ns * s.error_ns), f.file, MAX(s.hits) "
            "FROM line_stats s JOIN functions f "
            "USING (function_id) WHERE s.thread_id = ?1 GROUP BY f.file_id, s.line",
        },
    [ANNOTATE_FUNCTIONS] =
        {
            "SELECT file_id, first_line AS line, qualname AS function, calls, self_ns, "
            "self_cpu_ns, cumulative_ns, hits, NULL AS text, 1.0 * error_ns * error_ns, "
            "file FROM functions "
            "WHERE kind <> 'outside' AND (cumulative_ns > 0 OR calls > 0)",
            "SELECT f.file_id, f.first_line AS line, f.qualname AS function, s.calls, s.self_ns, "
            "s.self_cpu_ns, s.cumulative_ns, s.hits, NULL AS text, (SELECT SUM(1.0 * l.error_ns * "
            "l.error_ns) FROM line_stats l WHERE l.thread_id = ?1 AND l.function_id = "
            "s.function_id), f.file FROM function_stats s JOIN functions f USING (function_id) "
            "WHERE s.thread_id = ?1",
        },
};

static const char *const orders[] = {
    [FORMAT_SORT_CPU] = "self_cpu_ns DESC, self_ns DESC",
    [FORMAT_SORT_WALL] = "self_ns DESC, self_cpu_ns DESC",
    [FORMAT_SORT_HITS] = "hits DESC, self_ns DESC",
    [FORMAT_SORT_CUMULATIVE] = "cumulative_ns DESC, self_ns DESC",
    [FORMAT_SORT_WAITING] = "self_ns - self_cpu_ns DESC, self_ns DESC",
    [FORMAT_SORT_CALLS] = "calls DESC, self_ns DESC",
};

static const char *const titles[] = {
    [FORMAT_SORT_CPU] = "CPU time (Time less Waiting)",
    [FORMAT_SORT_WALL] = "time",
    [FORMAT_SORT_HITS] = "hits",
    [FORMAT_SORT_CUMULATIVE] = "cumulative time",
    [FORMAT_SORT_WAITING] = "waiting time",
    [FORMAT_SORT_CALLS] = "calls",
};

static const struct subject {
    const char *one, *many;
    enum annotate_column columns[5];
    size_t column_count;
    const char *place; /* its heading */
    bool has_text;
} subjects[] = {
    [ANNOTATE_LINES] = {"line",
                        "lines",
                        {ANNOTATE_PERCENT, ANNOTATE_TIME, ANNOTATE_WAITING, ANNOTATE_HITS},
                        4,
                        "Line",
                        true},
    [ANNOTATE_FUNCTIONS] = {"function",
                            "functions",
                            {ANNOTATE_PERCENT, ANNOTATE_TIME, ANNOTATE_WAITING, ANNOTATE_CUMULATIVE,
                             ANNOTATE_CALLS},
                            5,
                            "Function",
                            false},
};

static struct query open_rows(const struct annotate *report, const struct annotate_ranking *ranking)
{
    char sql[SQL_MAX];
    struct query query;

    snprintf(sql, sizeof sql, "SELECT * FROM (%s) ORDER BY %s, file, line, file_id, function",
             rows_sql[ranking->what][ranking->thread_id != 0], orders[report->options->sort]);
    query = query_open(report->db, sql, report->err);
    if (ranking->thread_id != 0)
        query_bind(&query, 1, ranking->thread_id);
    return query;
}

/* ---- which rows ---- */

/* Rows so far, what was left out of those behind them, and what --file hides. */
struct rest {
    int shown;
    uint64_t left, left_ns;
    uint64_t hidden, hidden_ns;
};

static bool is_enough(const struct annotate *report, const struct annotate_ranking *ranking,
                      const struct query *query)
{
    enum format_sort sort = report->options->sort;
    uint64_t total = sort == FORMAT_SORT_HITS ? report->catalog->total_hits : report->total_ns;
    uint64_t weight = query_sum(query, sort == FORMAT_SORT_HITS         ? HITS
                                       : sort == FORMAT_SORT_CUMULATIVE ? CUMULATIVE
                                                                        : SELF);

    return (double)weight >= ranking->least_percent / 100 * (double)total;
}

/* The file of the next row to be shown; NULL: there is none. */
static const struct catalog_file *next_row(const struct annotate *report,
                                           const struct annotate_ranking *ranking,
                                           struct query *query, struct rest *rest)
{
    while (query_next(query)) {
        const struct catalog_file *file = catalog_file(report->catalog, query_int(query, FILE_ID));

        if (file == NULL)
            continue;
        if (!format_file_matches(report->options->files, file->raw_path)) {
            rest->hidden++;
            rest->hidden_ns += query_sum(query, SELF);
            continue;
        }
        if ((ranking->most == 0 || rest->shown < ranking->most) &&
            is_enough(report, ranking, query)) {
            rest->shown++;
            return file;
        }
        rest->left++;
        rest->left_ns += query_sum(query, SELF);
    }
    return NULL;
}

/* ---- places ---- */

/* file:line function; of a C function the name alone. They have no lines: all they took is one. */
static void add_place(struct text *text, const struct catalog_file *file, struct query *query,
                      enum annotate_subject what)
{
    int64_t line = query_int(query, LINE);
    bool has_lines = line > 0 || file->raw_path[0] != '<';
    size_t size;
    const char *function = query_text(query, FUNCTION, &size);

    text_clear(text);
    if (has_lines)
        text_add_format(text, "%s:%lld ", file->shown, (long long)line);
    if (has_lines || what == ANNOTATE_FUNCTIONS)
        text_add_printable(text, function, size);
    else
        text_add_string(text, file->shown);
}

void annotate_add_place(struct annotate *report, const struct text *place, int width)
{
    struct text *row = &report->row;
    const char *at = place->size > 0 ? place->at : "", *end = at + place->size;
    int columns = text_width(at, place->size);

    if (columns > width) {
        for (columns++; columns > width && at < end;)
            columns -= text_character_width(text_next(&at, end));
        text_add_string(row, "…");
    }
    text_add(row, at, (size_t)(end - at));
    text_add_spaces(row, width - columns);
}

/* The column of places: as wide as the widest of them, within reason. */
static int measure_places(const struct annotate *report, const struct annotate_ranking *ranking,
                          struct query *query, struct text *place)
{
    int limit = report->narrow ? PLACE_MAX / 2 + 5 : PLACE_MAX, width = 4;
    const struct catalog_file *file;
    struct rest rest = {0};

    while ((file = next_row(report, ranking, query, &rest)) != NULL) {
        add_place(place, file, query, ranking->what);
        if (text_width(place->at, place->size) > width)
            width = text_width(place->at, place->size);
    }
    return width < limit ? width : limit;
}

/* ---- rows ---- */

static void skip_blanks(const char **bytes, size_t *size)
{
    while (*size > 0 && (**bytes == ' ' || **bytes == '\t' || **bytes == '\f')) {
        (*bytes)++;
        (*size)--;
    }
}

static void print_cell(struct annotate *report, enum annotate_column column,
                       const struct query *query)
{
    uint64_t ns = query_sum(query, SELF);

    if (column == ANNOTATE_PERCENT)
        annotate_percent(report, ns);
    else if (column == ANNOTATE_TIME)
        annotate_time(report, column, ns);
    else if (column == ANNOTATE_WAITING)
        annotate_time(report, column, annotate_waiting(ns, query_sum(query, SELF_CPU)));
    else if (column == ANNOTATE_CUMULATIVE)
        annotate_time(report, column, query_sum(query, CUMULATIVE));
    else
        annotate_count(report, column, query_sum(query, column == ANNOTATE_HITS ? HITS : COUNT));
}

static bool is_in_doubt(const struct query *query)
{
    double self = (double)query_sum(query, SELF);

    return self > 0 && self * self < 4 * sqlite3_column_double(query->statement, VARIANCE);
}

static void print_row(struct annotate *report, const struct subject *subject, struct query *query,
                      const struct text *place, int width)
{
    annotate_start(report);
    report->in_doubt = is_in_doubt(query);
    for (size_t i = 0; i < subject->column_count; i++)
        print_cell(report, subject->columns[i], query);
    annotate_end_figures(report);
    if (subject->has_text) {
        size_t size;
        const char *bytes;

        annotate_add_place(report, place, width);
        text_add_string(&report->row, "|");
        bytes = query_text(query, TEXT, &size);
        skip_blanks(&bytes, &size);
        annotate_add_source(report, bytes, size);
    } else {
        text_add(&report->row, place->at, place->size);
    }
    annotate_print(report, annotate_heat(report, query_sum(query, SELF)));
}

static void print_headings(struct annotate *report, const struct subject *subject,
                           struct text *place, int width)
{
    annotate_start(report);
    text_add_format(&report->row, "The hottest %s, by %s", subject->many,
                    titles[report->options->sort]);
    annotate_print(report, ANNOTATE_BOLD);
    text_clear(place);
    text_add_string(place, subject->place);
    if (subject->has_text) {
        text_add_spaces(place, width - (int)strlen(subject->place));
        text_add_string(place, "|Source");
    }
    annotate_headings(report, subject->columns, subject->column_count, text_string(place));
}

/* "and 12 more lines with 1.234 ms (5.67 %)" */
static void print_rest(struct annotate *report, const struct subject *subject, const char *before,
                       uint64_t count, uint64_t ns, const char *behind)
{
    if (count == 0)
        return;
    annotate_start(report);
    text_add_format(&report->row, "%s%llu %s%s with ", before, (unsigned long long)count,
                    *behind == '\0' ? "more " : "", count == 1 ? subject->one : subject->many);
    annotate_add_time(report, ns);
    text_add_string(&report->row, " (");
    annotate_add_share(report, ns);
    text_add_format(&report->row, ")%s", behind);
    annotate_print(report, NULL);
}

/* Where calls are not known, the column tells hits, which are samples. */
static struct subject choose_subject(const struct annotate *report, enum annotate_subject what)
{
    struct subject subject = subjects[what];

    for (size_t i = 0; report->is_sampled && i < subject.column_count; i++)
        if (subject.columns[i] == ANNOTATE_CALLS)
            subject.columns[i] = ANNOTATE_HITS;
    return subject;
}

int annotate_hottest(struct annotate *report, const struct annotate_ranking *ranking)
{
    const struct subject chosen = choose_subject(report, ranking->what), *subject = &chosen;
    struct query query = open_rows(report, ranking);
    struct text place = {0};
    int width = measure_places(report, ranking, &query, &place);
    const struct catalog_file *file;
    struct rest rest = {0};

    print_headings(report, subject, &place, width);
    sqlite3_reset(query.statement);
    while ((file = next_row(report, ranking, &query, &rest)) != NULL) {
        add_place(&place, file, &query, ranking->what);
        print_row(report, subject, &query, &place, width);
    }
    if (ranking->tells_rest) {
        print_rest(report, subject, "and ", rest.left, rest.left_ns, "");
        print_rest(report, subject, "Left out: ", rest.hidden, rest.hidden_ns, " by --file");
    }
    report->row.failed |= place.failed;
    text_fini(&place);
    output_text(report->out, "\n");
    return query_close(&query);
}
