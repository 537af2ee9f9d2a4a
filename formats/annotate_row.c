#include "formats/annotate.h"

#include <math.h>
#include <string.h>

#include "formats/catalog.h"
#include "formats/output.h"

enum { TAB = 8, HOT_PERCENT = 10, WARM_PERCENT = 1, SMALL_PER_HIT = 10, MORE_PER_HIT = 2 };

/* ---- numbers ---- */

static uint64_t power_of_ten(int exponent)
{
    uint64_t power = 1;

    while (exponent-- > 0)
        power *= 10;
    return power;
}

void annotate_add_number(struct annotate *report, uint64_t ns)
{
    uint64_t step = report->unit_ns / power_of_ten(report->decimals);

    text_add_fixed(&report->row, ns / step + (ns % step * 2 >= step && step > 1), report->decimals);
}

void annotate_add_time(struct annotate *report, uint64_t ns)
{
    annotate_add_number(report, ns);
    text_add_format(&report->row, " %s", report->unit);
}

uint64_t annotate_hundredths(const struct annotate *report, uint64_t part)
{
    return report->total_ns == 0
               ? 0
               : (uint64_t)llround((double)part * 10000.0 / (double)report->total_ns);
}

void annotate_add_share(struct annotate *report, uint64_t part)
{
    text_add_fixed(&report->row, annotate_hundredths(report, part), 2);
    text_add_string(&report->row, " %");
}

uint64_t annotate_waiting(uint64_t ns, uint64_t cpu_ns)
{
    return ns > cpu_ns ? ns - cpu_ns : 0;
}

/* ---- cells ---- */

void annotate_start(struct annotate *report)
{
    text_clear(&report->row);
    report->in_doubt = false;
    report->row_figures = 0;
}

/* Closes a cell that began at byte `start` of the row: moves it to the right edge of its column. */
static void close_cell(struct annotate *report, enum annotate_column column, size_t start)
{
    struct text *row = &report->row;
    int missing = report->widths[column] - text_width(row->at + start, row->size - start);
    size_t size = row->size - start;

    text_add_spaces(row, missing);
    if (missing > 0 && !row->failed) {
        for (size_t i = size; i > 0; i--)
            row->at[start + i - 1 + (size_t)missing] = row->at[start + i - 1];
        for (int i = 0; i < missing; i++)
            row->at[start + (size_t)i] = ' ';
    }
    text_add_string(row, "|");
}

void annotate_cell(struct annotate *report, enum annotate_column column, const char *text)
{
    size_t start = report->row.size;

    text_add_string(&report->row, text);
    close_cell(report, column, start);
}

void annotate_blank(struct annotate *report, enum annotate_column column)
{
    annotate_cell(report, column, "");
}

void annotate_count(struct annotate *report, enum annotate_column column, uint64_t count)
{
    size_t start = report->row.size;

    text_add_uint(&report->row, count);
    close_cell(report, column, start);
}

void annotate_time(struct annotate *report, enum annotate_column column, uint64_t ns)
{
    size_t start = report->row.size;

    annotate_add_number(report, ns);
    close_cell(report, column, start);
}

void annotate_change(struct annotate *report, enum annotate_column column, uint64_t before,
                     uint64_t after, bool is_time)
{
    uint64_t difference = before < after ? after - before : before - after;
    size_t start = report->row.size;

    if (difference > 0) {
        text_add_string(&report->row, report->in_doubt ? "~" : "");
        text_add_string(&report->row, before < after ? "+" : "-");
        if (is_time)
            annotate_add_number(report, difference);
        else
            text_add_uint(&report->row, difference);
    }
    close_cell(report, column, start);
}

/* The quotient in units of 10^-decimals. */
static uint64_t per_hit(const struct annotate *report, uint64_t ns, uint64_t hits, int decimals)
{
    double value = hits == 0 ? 0 : (double)ns / (double)hits;

    return (uint64_t)llround(value * (double)power_of_ten(decimals) / (double)report->unit_ns);
}

/* On a narrow terminal small ones have more decimals, if the column has room for them: most lines
 * take tens of nanoseconds, and would all show zero. */
void annotate_per_hit(struct annotate *report, uint64_t ns, uint64_t hits)
{
    int decimals = report->decimals + report->more_decimals, room;
    size_t start = report->row.size;

    if (hits > 0 && report->narrow && per_hit(report, ns, hits, decimals) < SMALL_PER_HIT) {
        room = report->widths[ANNOTATE_PER_HIT] - (int)strlen("0.") - decimals;
        decimals += room < MORE_PER_HIT ? (room > 0 ? room : 0) : MORE_PER_HIT;
    }
    if (hits > 0)
        text_add_fixed(&report->row, per_hit(report, ns, hits, decimals), decimals);
    close_cell(report, ANNOTATE_PER_HIT, start);
}

void annotate_percent(struct annotate *report, uint64_t part)
{
    size_t start = report->row.size;

    text_add_string(&report->row, report->in_doubt ? "~" : "");
    if (report->narrow)
        text_add_fixed(&report->row, (annotate_hundredths(report, part) + 5) / 10, 1);
    else
        text_add_fixed(&report->row, annotate_hundredths(report, part), 2);
    text_add_string(&report->row, "%");
    close_cell(report, ANNOTATE_PERCENT, start);
}

void annotate_add_source(struct annotate *report, const char *bytes, size_t size)
{
    struct text *row = &report->row;
    const char *end = bytes + size;
    int column = 0;

    while (bytes < end) {
        const char *start = bytes;
        uint32_t c = text_next(&bytes, end);
        size_t before = row->size;

        if (c == '\t') {
            text_add_spaces(row, TAB - column % TAB);
            column += TAB - column % TAB;
        } else {
            text_add_printable(row, start, (size_t)(bytes - start));
            column += text_is_printable(c) ? text_character_width(c) : (int)(row->size - before);
        }
    }
}

/* ---- printing ---- */

void annotate_end_figures(struct annotate *report)
{
    report->row_figures = report->row.size;
}

static void trim_end(struct text *row)
{
    while (row->size > 0 && row->at[row->size - 1] == ' ')
        row->size--;
}

static void cut_to_terminal(struct annotate *report)
{
    struct text *row = &report->row;

    if (report->width <= 0 || text_width(row->at, row->size) <= report->width)
        return;
    row->size = text_fit(row->at, row->size, report->width - 1);
    if (report->row_figures > row->size)
        report->row_figures = 0; /* the colour is for the whole row */
    text_add_string(row, "…");
}

void annotate_print(struct annotate *report, const char *style)
{
    struct text *row = &report->row;
    size_t figures;

    trim_end(row);
    cut_to_terminal(report);
    figures = report->row_figures < row->size && report->row_figures > 0 ? report->row_figures
                                                                         : row->size;
    if (report->colour && style != NULL && row->size > 0) {
        output_format(report->out, "\033[%sm", style);
        output_write(report->out, row->at, figures);
        output_text(report->out, "\033[0m");
        output_write(report->out, row->at + figures, row->size - figures);
    } else {
        output_write(report->out, row->at, row->size);
    }
    output_text(report->out, "\n");
}

void annotate_note(struct annotate *report, const char *text, const char *style)
{
    annotate_start(report);
    text_add_string(&report->row, text);
    annotate_print(report, style);
}

void annotate_more(struct annotate *report, const char *indent, uint64_t count, const char *of_what)
{
    annotate_start(report);
    text_add_format(&report->row, "%sand %llu more%s", indent, (unsigned long long)count, of_what);
    annotate_print(report, NULL);
}

const char *annotate_heat(const struct annotate *report, uint64_t ns)
{
    uint64_t share = annotate_hundredths(report, ns);

    if (share >= HOT_PERCENT * 100)
        return "1;31";
    if (share >= WARM_PERCENT * 100)
        return "33";
    return NULL;
}
