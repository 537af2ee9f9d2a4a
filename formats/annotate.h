/* annotate.h - what the reports for people share: the annotated source (annotate*.c), and the
 * rankings and the summary that are made of its rows (ranking.c, summary*.c). */
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

/* How often an edge was gone: of a sampled run, which knows no calls, the samples below. */
#define CALLS_OR_SAMPLES(edge)                                                                     \
    "CASE (SELECT mode FROM runs LIMIT 1) WHEN 'sample' THEN " edge "cumulative_hits ELSE " edge   \
    "calls + " edge "resumes END"

enum annotate_column {
    ANNOTATE_LINE,
    ANNOTATE_HITS,
    ANNOTATE_TIME,
    ANNOTATE_PER_HIT,
    ANNOTATE_PERCENT,
    ANNOTATE_CUMULATIVE,
    ANNOTATE_WAITING,
    ANNOTATE_SOURCE_COLUMNS, /* of the annotated source: all before */
    ANNOTATE_CALLS = ANNOTATE_SOURCE_COLUMNS,
    ANNOTATE_CHANGE, /* of two runs: these, and a count with the difference of that */
    ANNOTATE_BEFORE,
    ANNOTATE_AFTER,
    ANNOTATE_MORE,
    ANNOTATE_COLUMNS,
};

struct annotate {
    sqlite3 *db;
    const struct format_options *options;
    struct output *out;
    struct error *err;
    struct catalog *catalog; /* owned */

    bool is_sampled;
    uint64_t total_ns; /* what 100 % is */
    const char *unit;  /* of every time in the report */
    uint64_t unit_ns;  /* nanoseconds in it */
    int decimals;      /* of a time */
    int more_decimals; /* of a time per hit, on top of those */
    bool narrow;       /* a terminal too narrow for long headings */
    int width;         /* columns of the terminal, 0: no limit */
    bool colour;
    int widths[ANNOTATE_COLUMNS];

    struct text row;    /* under construction */
    bool in_doubt;      /* of this row, the time is below twice its standard error */
    size_t row_figures; /* bytes of it that are figures and take the colour */
};

/* What one row of figures says. */
struct annotate_figures {
    uint64_t hits;
    uint64_t ns;
    uint64_t cpu_ns;
    uint64_t cumulative_ns;
    uint64_t cumulative_cpu_ns;
    uint64_t error_ns; /* the standard error of `ns`, if that is an estimate */
};

/* Totals of one file. */
struct annotate_file {
    const struct catalog_file *file;
    struct annotate_figures sum;
    bool fold; /* cold stretches as [...] */
};

/* What a ranking is of. */
enum annotate_subject { ANNOTATE_LINES, ANNOTATE_FUNCTIONS };

struct annotate_ranking {
    enum annotate_subject what;
    int most;             /* rows, 0: all */
    double least_percent; /* of the total: what is below is left out */
    int64_t thread_id;    /* 0: all threads */
    bool tells_rest;      /* say what was left out */
};

/* annotate_report.c: the catalog, the unit, the terminal. annotate_end() is due in any case, and
 * returns the status, or -1 if there was no memory for a row. */
int annotate_begin(struct annotate *report, sqlite3 *db, const struct format_options *options,
                   struct output *out, struct error *err);
int annotate_end(struct annotate *report, int status);

/* annotate_header.c: the run, what 100 % is, what went wrong. */
int annotate_title(struct annotate *report);

/* What of it is about all runs together: the selection, and what went wrong. */
int annotate_troubles(struct annotate *report);

/* All that annotate_title() says, and: threads, where it was when it ended. -1
 * with the error set. */
int annotate_header(struct annotate *report);

/* annotate_table.c: the columns' widths, for lines, for functions, or for percentages, times and
 * hits up to a largest one; their headings, with `last`
 * for the rest of the row, and a rule below. */
int annotate_measure(struct annotate *report);
int annotate_measure_functions(struct annotate *report);
void annotate_measure_totals(struct annotate *report, uint64_t largest);
void annotate_measure_changes(struct annotate *report, uint64_t largest_ns, uint64_t largest_count);
void annotate_headings(struct annotate *report, const enum annotate_column *columns, size_t count,
                       const char *last);

/* annotate_hottest.c: a table of those that lead by --sort. */
int annotate_hottest(struct annotate *report, const struct annotate_ranking *ranking);

/* annotate_source.c: the source of one file with its figures. */
int annotate_source(struct annotate *report, const struct annotate_file *file);

/* annotate_row.c: a row is cleared, filled from the left, and printed: cut to the terminal, figures
 * in `style`. */
void annotate_start(struct annotate *report);
void annotate_cell(struct annotate *report, enum annotate_column column, const char *text);
void annotate_blank(struct annotate *report, enum annotate_column column);
void annotate_count(struct annotate *report, enum annotate_column column, uint64_t count);
void annotate_time(struct annotate *report, enum annotate_column column, uint64_t ns);
/* With its sign what `after` has more than `before`, a time or a count; blank if they are equal. */
void annotate_change(struct annotate *report, enum annotate_column column, uint64_t before,
                     uint64_t after, bool is_time);
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

/* The share of the run's total, in hundredths of a percent. */
uint64_t annotate_hundredths(const struct annotate *report, uint64_t part);

/* Adds "89.32 %", the share of the run's total. */
void annotate_add_share(struct annotate *report, uint64_t part);

/* Adds a place to the row in a column of its own; of one that is too long the start is cut. */
void annotate_add_place(struct annotate *report, const struct text *place, int width);

/* Adds source text: tabs to stops of eight, unprintable bytes as escapes. */
void annotate_add_source(struct annotate *report, const char *bytes, size_t size);

/* SGR codes by heat: of a line with that much self time; NULL: none. */
const char *annotate_heat(const struct annotate *report, uint64_t ns);
#define ANNOTATE_BOLD "1"
#define ANNOTATE_DIM "2"

/* cpu_ns never exceeds ns in a sound database. */
uint64_t annotate_waiting(uint64_t ns, uint64_t cpu_ns);

#endif
