/* annotate.h - what the parts of the annotated source share. Only annotate*.c include it. */
#ifndef FORMATS_ANNOTATE_H
#define FORMATS_ANNOTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "formats/text.h"

struct catalog;
struct catalog_file;
struct error;
struct format_options;
struct output;

enum annotate_column {
    ANNOTATE_LINE,
    ANNOTATE_HITS,
    ANNOTATE_TIME,
    ANNOTATE_PER_HIT,
    ANNOTATE_PERCENT,
    ANNOTATE_CUMULATIVE,
    ANNOTATE_WAITING,
    ANNOTATE_COLUMNS,
};

struct annotate {
    sqlite3 *db;
    const struct format_options *options;
    struct output *out;
    struct error *err;
    const struct catalog *catalog;

    const char *unit;  /* of every time in the report */
    uint64_t unit_ns;  /* nanoseconds in it */
    int decimals;      /* of a time */
    int more_decimals; /* of a time per hit, on top of those */
    bool narrow;       /* a terminal too narrow for long headings */
    int width;         /* columns of the terminal, 0: no limit */
    bool colour;
    int widths[ANNOTATE_COLUMNS];

    struct text row;    /* under construction */
    size_t row_figures; /* bytes of it that are figures and take the colour */
};

/* What one row of figures says. */
struct annotate_figures {
    uint64_t hits;
    uint64_t ns;
    uint64_t cpu_ns;
    uint64_t cumulative_ns;
    uint64_t cumulative_cpu_ns;
};

/* Totals of one file. */
struct annotate_file {
    const struct catalog_file *file;
    struct annotate_figures sum;
    bool fold; /* cold stretches as [...] */
};

/* annotate_header.c: command, duration, threads, what went wrong, where it was when it ended. -1
 * with the error set. */
int annotate_header(struct annotate *report);

/* annotate_table.c: the columns' widths; their headings, with `last` for the rest of the row, and a
 * rule below; the ten hottest lines. */
int annotate_measure(struct annotate *report);
void annotate_headings(struct annotate *report, const enum annotate_column *columns, size_t count,
                       const char *last);
int annotate_hottest(struct annotate *report);

/* annotate_source.c: the source of one file with its figures. */
int annotate_source(struct annotate *report, const struct annotate_file *file);

/* annotate_row.c: a row is cleared, filled from the left, and printed: cut to the terminal, figures
 * in `style`. */
void annotate_start(struct annotate *report);
void annotate_cell(struct annotate *report, enum annotate_column column, const char *text);
void annotate_blank(struct annotate *report, enum annotate_column column);
void annotate_count(struct annotate *report, enum annotate_column column, uint64_t count);
void annotate_time(struct annotate *report, enum annotate_column column, uint64_t ns);
void annotate_per_hit(struct annotate *report, uint64_t ns, uint64_t hits);
void annotate_percent(struct annotate *report, uint64_t part);
void annotate_end_figures(struct annotate *report);
void annotate_print(struct annotate *report, const char *style);

/* A row that is one text. */
void annotate_note(struct annotate *report, const char *text, const char *style);

/* "and 12 more": what a list that was cut leaves out. */
void annotate_more(struct annotate *report, const char *indent, uint64_t count,
                   const char *of_what);

/* Adds "12.345" and "12.345 ms" to the row. */
void annotate_add_number(struct annotate *report, uint64_t ns);
void annotate_add_time(struct annotate *report, uint64_t ns);

/* Adds "89.32 %", the share of the run's total. */
void annotate_add_share(struct annotate *report, uint64_t part);

/* Adds source text: tabs to stops of eight, unprintable bytes as escapes. */
void annotate_add_source(struct annotate *report, const char *bytes, size_t size);

/* SGR codes by heat: of a line with that much self time; NULL: none. */
const char *annotate_heat(const struct annotate *report, uint64_t ns);
#define ANNOTATE_BOLD "1"
#define ANNOTATE_DIM "2"

/* cpu_ns never exceeds ns in a sound database. */
uint64_t annotate_waiting(uint64_t ns, uint64_t cpu_ns);

#endif
