/* stats.h - what the parts of the format `stats` share. Only stats*.c include it. */
#ifndef FORMATS_STATS_H
#define FORMATS_STATS_H

#include <stdbool.h>
#include <stddef.h>

#include "formats/call_stats.h"
#include "formats/text.h"

struct error;
struct format_options;

/* A function as the table shows it; several that --strip-dirs makes alike are one. */
struct stats_row {
    const char *file;  /* borrowed, without folders if they are stripped */
    int64_t line;      /* of a C function 0 */
    const char *name;  /* borrowed */
    const char *label; /* file:line(name), printable */
    int width;         /* characters of it */
    struct call_stats_figures sum;
};

/* stats_sort.c: puts the rows into the order of the keys of --sort, equal ones left as they are,
 * and adds what the order is called ("cumulative time") to `title`. */
int stats_sort(const struct stats_row **rows, size_t count, const struct format_options *options,
               struct text *title, struct error *err);

/* Are these keys of pstats, or unambiguous abbreviations? -1 with *err set. */
int stats_check_sort(const struct format_options *options, struct error *err);

/* stats_restrict.c: keeps the rows that --restrict leaves, one after the other, and adds a line to
 * `title` for each that dropped some. */
int stats_restrict(const struct stats_row **rows, size_t *count,
                   const struct format_options *options, struct text *title, struct error *err);

/* Are they counts, fractions or regular expressions? -1 with *err set. */
int stats_check_restricts(const struct format_options *options, struct error *err);

#endif
