/* options.h - the command line of pyanalyze, as data.
 *
 * One table in options.c names every option once: parsing, --help and the tests walk it. What the
 * options mean together (which format goes where) is settled here too, so that the rest of the
 * program never looks at argv.
 */
#ifndef ANALYZER_OPTIONS_H
#define ANALYZER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/format.h"

struct error;
struct pattern_list;

enum options_action { OPTIONS_ANALYZE, OPTIONS_HELP, OPTIONS_VERSION, OPTIONS_SCHEMA };
enum options_rows { OPTIONS_ROWS_PLAIN, OPTIONS_ROWS_TSV, OPTIONS_ROWS_CSV, OPTIONS_ROWS_JSON };
enum options_colour { OPTIONS_COLOUR_AUTO, OPTIONS_COLOUR_ALWAYS, OPTIONS_COLOUR_NEVER };

/* Words of the command line, borrowed from argv. `items` ends with NULL and is NULL if there are
 * none. */
struct options_list {
    const char **items;
    size_t count;
};

struct options_report {
    const struct format *format;
    const char *path; /* borrowed; NULL: standard output */
};

struct options {
    int action;
    struct options_list inputs; /* never empty after options_parse() */
    bool inputs_defaulted;      /* none was named: trace.bin */

    struct options_report *reports; /* owned, in the order of the command line */
    size_t report_count;
    const char *zip_path; /* --zipfile; NULL: none */
    const char *database_path;
    struct options_list queries; /* as given: SQL, @FILE or - */
    int rows;                    /* enum options_rows */
    const char *rows_path;       /* where rows go; NULL: standard output */

    bool strict, force, verbose, no_pager, statements;
    int colour; /* enum options_colour */

    const char *thread;            /* name or id; NULL: all */
    int64_t pid;                   /* 0: all */
    struct pattern_list *patterns; /* --include and --exclude in order; owned; NULL: none */
    struct options_list files;
    struct options_list windows; /* owners */
    struct options_list sort_words; /* as typed */
    struct options_list sorts;      /* the keys one by one, in ... */
    char *sort_text;                /* ... this; owned */
    struct options_list restricts;
    struct format_options format; /* its lists are set from those above */

    const char *output; /* -o as given; settled into the paths above */
};

/* Reads the command line into *options. 0, or -1 with a usage error in *err; options_fini() is due
 * either way. */
int options_parse(struct options *options, int argc, char **argv, struct error *err);

void options_fini(struct options *options);

/* The text of --help, to be freed; NULL: out of memory. */
char *options_help(void);

#endif
