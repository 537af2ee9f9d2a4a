#include "formats/annotate.h"

#include <string.h>

#include "formats/query.h"

/* ---- columns ---- */

struct heading {
    const char *wide;
    const char *narrow;
    bool has_unit;
};

static const struct heading headings[ANNOTATE_COLUMNS] = {
    [ANNOTATE_LINE] = {"Line #", "Line #", false},
    [ANNOTATE_HITS] = {"Hits", "Hits", false},
    [ANNOTATE_CALLS] = {"Calls", "Calls", false},
    [ANNOTATE_TIME] = {"Time", "Time", true},
    [ANNOTATE_PER_HIT] = {"Time per hit", "Per hit", false},
    [ANNOTATE_PERCENT] = {"%", "%", false},
    [ANNOTATE_CUMULATIVE] = {"Cumulative", "Cumul.", false},
    [ANNOTATE_WAITING] = {"Waiting", "Waiting", false},
    [ANNOTATE_CHANGE] = {"Change", "Change", false},
    [ANNOTATE_BEFORE] = {"Before", "Before", false},
    [ANNOTATE_AFTER] = {"After", "After", false},
    [ANNOTATE_MORE] = {"More", "More", false},
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

static int measure(struct annotate *report, const char *sql)
{
    struct query query = query_open(report->db, sql, report->err);
    uint64_t largest[7] = {0};

    while (query_next(&query))
        for (int i = 0; i < 7; i++)
            if (query_sum(&query, i) > largest[i])
                largest[i] = query_sum(&query, i);
    widen(report, ANNOTATE_LINE, digits(largest[0]));
    widen(report, ANNOTATE_HITS, digits(largest[1]));
    widen(report, ANNOTATE_TIME, time_width(report, largest[2], 0));
    widen(report, ANNOTATE_PER_HIT, time_width(report, largest[5], report->more_decimals));
    widen(report, ANNOTATE_PERCENT, (int)strlen(report->narrow ? "99.9%" : "99.99%"));
    widen(report, ANNOTATE_CUMULATIVE, time_width(report, largest[3], 0));
    widen(report, ANNOTATE_WAITING, time_width(report, largest[4], 0));
    widen(report, ANNOTATE_CALLS, digits(largest[6]));
    return query_close(&query);
}

int annotate_measure(struct annotate *report)
{
    return measure(report, "SELECT MAX(line), MAX(hits), MAX(self_ns), MAX(cumulative_ns), "
                           "MAX(self_ns - self_cpu_ns), MAX(self_ns / max(hits, 1)), 0 FROM lines "
                           "UNION ALL SELECT 0, MAX(" CALLS_OR_SAMPLES("") "), MAX(cumulative_ns), "
                           "MAX(cumulative_ns), MAX(cumulative_ns - cumulative_cpu_ns), "
                           "MAX(cumulative_ns / max(calls + resumes, 1)), 0 FROM edges");
}

int annotate_measure_functions(struct annotate *report)
{
    return measure(report, "SELECT 0, MAX(hits), MAX(self_ns), MAX(cumulative_ns), "
                           "MAX(self_ns - self_cpu_ns), 0, MAX(calls) FROM functions "
                           "WHERE kind <> 'outside'");
}

void annotate_measure_totals(struct annotate *report, uint64_t largest)
{
    widen(report, ANNOTATE_PERCENT, (int)strlen(report->narrow ? "100.0%" : "100.00%"));
    widen(report, ANNOTATE_TIME, time_width(report, largest, 0));
    widen(report, ANNOTATE_HITS, digits(largest));
}

void annotate_measure_changes(struct annotate *report, uint64_t largest_ns, uint64_t largest_count)
{
    int time = time_width(report, largest_ns, 0), count = digits(largest_count);
    int value = time > count ? time : count;

    widen(report, ANNOTATE_CHANGE, 1 + value);
    widen(report, ANNOTATE_BEFORE, value);
    widen(report, ANNOTATE_AFTER, value);
    widen(report, ANNOTATE_CALLS, count);
    widen(report, ANNOTATE_HITS, count);
    widen(report, ANNOTATE_MORE, 1 + count);
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
