#include "formats/annotate.h"

#include <string.h>

#include "formats/catalog.h"
#include "formats/error.h"
#include "formats/format.h"
#include "formats/output.h"
#include "formats/query.h"

enum { HOTTEST = 10, WHERE_MAX = 42 };

/* ---- columns ---- */

struct heading {
    const char *wide;
    const char *narrow;
    bool has_unit;
};

static const struct heading headings[ANNOTATE_COLUMNS] = {
    [ANNOTATE_LINE] = {"Line #", "Line #", false},
    [ANNOTATE_HITS] = {"Hits", "Hits", false},
    [ANNOTATE_TIME] = {"Time", "Time", true},
    [ANNOTATE_PER_HIT] = {"Time per hit", "Per hit", false},
    [ANNOTATE_PERCENT] = {"%", "%", false},
    [ANNOTATE_CUMULATIVE] = {"Cumulative", "Cumul.", false},
    [ANNOTATE_WAITING] = {"Waiting", "Waiting", false},
};

static int digits(uint64_t value)
{
    int count = 1;

    while (value >= 10) {
        value /= 10;
        count++;
    }
    return count;
}

static void widen(struct annotate *report, enum annotate_column column, int content)
{
    const struct heading *heading = &headings[column];
    int title = (int)strlen(report->narrow ? heading->narrow : heading->wide);

    if (heading->has_unit)
        title += (int)strlen(report->unit) + 3;
    if (content < title)
        content = title;
    report->widths[column] = content + (report->narrow || column == ANNOTATE_LINE ? 0 : 1);
}

static int time_width(const struct annotate *report, uint64_t ns, int more_decimals)
{
    int decimals = report->decimals + more_decimals;

    return digits(ns / report->unit_ns + 1) + (decimals > 0 ? decimals + 1 : 0);
}

int annotate_measure(struct annotate *report)
{
    struct query query = query_open(
        report->db,
        "SELECT MAX(line), MAX(hits), MAX(self_ns), MAX(cumulative_ns), "
        "MAX(self_ns - self_cpu_ns), MAX(self_ns / max(hits, 1)) FROM lines "
        "UNION ALL SELECT 0, MAX(calls + resumes), MAX(cumulative_ns), MAX(cumulative_ns), "
        "MAX(cumulative_ns - cumulative_cpu_ns), "
        "MAX(cumulative_ns / max(calls + resumes, 1)) FROM edges",
        report->err);
    uint64_t largest[6] = {0};

    while (query_next(&query))
        for (int i = 0; i < 6; i++)
            if (query_sum(&query, i) > largest[i])
                largest[i] = query_sum(&query, i);
    widen(report, ANNOTATE_LINE, digits(largest[0]));
    widen(report, ANNOTATE_HITS, digits(largest[1]));
    widen(report, ANNOTATE_TIME, time_width(report, largest[2], 0));
    widen(report, ANNOTATE_PER_HIT, time_width(report, largest[5], report->more_decimals));
    widen(report, ANNOTATE_PERCENT, (int)strlen(report->narrow ? "99.9%" : "99.99%"));
    widen(report, ANNOTATE_CUMULATIVE, time_width(report, largest[3], 0));
    widen(report, ANNOTATE_WAITING, time_width(report, largest[4], 0));
    return query_close(&query);
}

static void add_heading(struct annotate *report, enum annotate_column column)
{
    const struct heading *heading = &headings[column];
    struct text title = {0};

    text_add_string(&title, report->narrow ? heading->narrow : heading->wide);
    if (heading->has_unit)
        text_add_format(&title, " (%s)", report->unit);
    annotate_cell(report, column, text_string(&title));
    report->row.failed |= title.failed;
    text_fini(&title);
}

void annotate_headings(struct annotate *report, const enum annotate_column *columns, size_t count,
                       const char *last)
{
    annotate_start(report);
    for (size_t i = 0; i < count; i++)
        add_heading(report, columns[i]);
    text_add_string(&report->row, last);
    annotate_print(report, ANNOTATE_BOLD);
    annotate_start(report);
    for (size_t i = 0; i < count; i++) {
        for (int j = 0; j < report->widths[columns[i]]; j++)
            text_add_string(&report->row, "-");
        text_add_string(&report->row, "+");
    }
    for (const char *bar = strchr(last, '|'); bar != NULL && last < bar; last++)
        text_add_string(&report->row, last + 1 < bar ? "-" : "-+");
    text_add_string(&report->row, "------");
    annotate_print(report, NULL);
}

/* ---- the hottest lines ---- */

static const char *const hottest_sql[] = {
    [FORMAT_SORT_CPU] =
        "SELECT file_id, line, function, hits, self_ns, self_cpu_ns, text FROM lines "
        "ORDER BY self_cpu_ns DESC, self_ns DESC, file, line, file_id",
    [FORMAT_SORT_WALL] =
        "SELECT file_id, line, function, hits, self_ns, self_cpu_ns, text FROM lines "
        "ORDER BY self_ns DESC, self_cpu_ns DESC, file, line, file_id",
    [FORMAT_SORT_HITS] =
        "SELECT file_id, line, function, hits, self_ns, self_cpu_ns, text FROM lines "
        "ORDER BY hits DESC, self_ns DESC, file, line, file_id",
};

static void add_place(struct text *text, const struct catalog_file *file, int64_t line,
                      const char *function, size_t size)
{
    text_add_format(text, "%s:%lld ", file->shown, (long long)line);
    text_add_printable(text, function, size);
}

/* Adds the place in a column of its own. Of one that is too long the start is cut: its end says
 * more. */
static void add_where(struct annotate *report, const struct text *place, int width)
{
    struct text *row = &report->row;
    const char *at = place->at, *end = place->at + place->size;
    int columns = text_width(at, place->size);

    if (columns > width) {
        for (columns++; columns > width && at < end;)
            columns -= text_character_width(text_next(&at, end));
        text_add_string(row, "…");
    }
    text_add(row, at, (size_t)(end - at));
    text_add_spaces(row, width - columns);
    text_add_string(row, "|");
}

static void skip_blanks(const char **bytes, size_t *size)
{
    while (*size > 0 && (**bytes == ' ' || **bytes == '\t' || **bytes == '\f')) {
        (*bytes)++;
        (*size)--;
    }
}

static void print_hot_line(struct annotate *report, struct query *query, struct text *place,
                           int width)
{
    const struct catalog_file *file = catalog_file(report->catalog, query_int(query, 0));
    uint64_t hits = query_sum(query, 3), ns = query_sum(query, 4);
    size_t size;
    const char *bytes = query_text(query, 2, &size);

    text_clear(place);
    add_place(place, file, query_int(query, 1), bytes, size);
    annotate_start(report);
    annotate_percent(report, ns);
    annotate_time(report, ANNOTATE_TIME, ns);
    annotate_time(report, ANNOTATE_WAITING, annotate_waiting(ns, query_sum(query, 5)));
    annotate_count(report, ANNOTATE_HITS, hits);
    annotate_end_figures(report);
    add_where(report, place, width);
    bytes = query_text(query, 6, &size);
    skip_blanks(&bytes, &size);
    annotate_add_source(report, bytes, size);
    annotate_print(report, annotate_heat(report, ns));
}

/* The column of places: as wide as the widest of them, within reason. */
static int measure_places(const struct annotate *report, struct query *query, struct text *place)
{
    int limit = report->narrow ? WHERE_MAX / 2 + 5 : WHERE_MAX, width = 4, rows = 0;

    while (rows < HOTTEST && query_next(query)) {
        const struct catalog_file *file = catalog_file(report->catalog, query_int(query, 0));
        size_t size;
        const char *function = query_text(query, 2, &size);

        if (file == NULL || !format_file_matches(report->options->files, file->raw_path))
            continue;
        text_clear(place);
        add_place(place, file, query_int(query, 1), function, size);
        if (text_width(place->at, place->size) > width)
            width = text_width(place->at, place->size);
        rows++;
    }
    return width < limit ? width : limit;
}

int annotate_hottest(struct annotate *report)
{
    static const char *const by[] = {"CPU time", "time", "hits"};
    static const enum annotate_column columns[] = {ANNOTATE_PERCENT, ANNOTATE_TIME,
                                                   ANNOTATE_WAITING, ANNOTATE_HITS};
    struct query query = query_open(report->db, hottest_sql[report->options->sort], report->err);
    struct text place = {0};
    int width = measure_places(report, &query, &place);
    int rows = 0;

    annotate_start(report);
    text_add_format(&report->row, "The hottest lines, by %s", by[report->options->sort]);
    annotate_print(report, ANNOTATE_BOLD);
    text_clear(&place);
    text_add_string(&place, "Line");
    text_add_spaces(&place, width - 4);
    text_add_string(&place, "|Source");
    annotate_headings(report, columns, sizeof columns / sizeof columns[0], text_string(&place));
    query_reset(&query);
    while (rows < HOTTEST && query_next(&query)) {
        const struct catalog_file *file = catalog_file(report->catalog, query_int(&query, 0));

        if (file == NULL || !format_file_matches(report->options->files, file->raw_path))
            continue;
        if (query_sum(&query, 3) + query_sum(&query, 4) == 0)
            break;
        print_hot_line(report, &query, &place, width);
        rows++;
    }
    report->row.failed |= place.failed;
    text_fini(&place);
    output_text(report->out, "\n");
    return query_close(&query);
}
