/* format.h - a way to write a profile down.
 *
 * To add one: write NAME.c with one `const struct format`, add a line to the table in format.c, put
 * its expected output under tests/golden/. Nothing else knows the list: --help, --format, the guess
 * from -o's suffix and the tests walk it. A format reads only the database (profile.sql) and never
 * the trace.
 */
#ifndef FORMATS_FORMAT_H
#define FORMATS_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

struct error;
struct output;

enum format_weight { FORMAT_WEIGHT_SELF, FORMAT_WEIGHT_CPU, FORMAT_WEIGHT_HITS };
enum format_sort {
    FORMAT_SORT_CPU,
    FORMAT_SORT_WALL,
    FORMAT_SORT_HITS,
    FORMAT_SORT_CUMULATIVE,
    FORMAT_SORT_WAITING,
    FORMAT_SORT_CALLS,
};

/* A point of a run. */
struct format_time {
    bool given;
    bool from_end; /* counted back from the run's last stamp */
    int64_t ns;
};

/* What the command line can ask of a format. A format ignores what does not concern it. */
struct format_options {
    enum format_sort sort;        /* --sort: order of rows and files, if it is one of these */
    const char *const *sorts;     /* --sort: all keys as typed, NULL-terminated; NULL: none */
    bool reverse;                 /* --reverse: the other way round */
    enum format_weight weight;    /* --by: what a flame graph's widths are */
    struct format_time from, to;  /* --from, --to: the part of the run that is shown */
    const char *function;         /* --function: activations of this function only; NULL: all */
    const char *unit;             /* --unit: s, ms, us, ns; NULL: chosen by the format */
    const char *const *restricts; /* --restrict, NULL-terminated; NULL: none */
    bool strip_dirs;              /* --strip-dirs: base names of files */
    bool callers;                 /* --callers: who called, instead of the table */
    bool callees;                 /* --callees: who was called */
    int top;                      /* --top N hottest files or rows, 0: all */
    double min_percent; /* --min-percent: leave out what is below, in percent of the total;
                         * negative: the        format chooses. 0 leaves nothing out */
    bool fold;          /* --fold: cold stretches of source as [...] */
    bool per_thread;    /* --per-thread: split instead of merge */
    bool lines;         /* --lines: frames are lines instead of functions */
    const char *const
        *files;  /* --file patterns (globs as in format_file_matches), NULL-terminated; NULL: all */
    bool zipped; /* --zipfile is written too: use the names inside the zip (see archive_names.h) */
    const char *zip_path; /* that zip, or NULL */
};

/* The options of a command line that asks for nothing. */
#define FORMAT_OPTIONS_DEFAULT                                                                     \
    {                                                                                              \
        .min_percent = -1                                                                          \
    }

/* Options that mean nothing to most formats. */
enum {
    FORMAT_HEEDS_TIME = 1,   /* --from, --to, --function */
    FORMAT_HEEDS_PSTATS = 2, /* --reverse, --restrict, --strip-dirs, --callers, --callees */
    FORMAT_HEEDS_WEIGHT = 4, /* --by */
};

struct format {
    const char *name;            /* as in --format=NAME */
    const char *const *suffixes; /* of -o that mean this format (".svg"), or prefixes ending in '.'
                                    ("callgrind.out."), NULL-terminated */
    const char *summary;         /* one line for --help */
    bool binary;                 /* never written to a terminal */
    unsigned heeds;              /* FORMAT_HEEDS_*; asked of formats without it, they are refused */

    /* Are these the first bytes (up to 512) of a file of this kind? An existing file of another
     * kind is not replaced without --force. */
    bool (*recognize)(const unsigned char *head, int size);

    /* Can it do what the options ask for? 0, or -1 with *err set: asked before anything is read.
     * NULL: it can, and --sort does not concern it. */
    int (*check)(const struct format_options *options, struct error *err);

    /* Reads `db`, writes to `out`. 0, or -1 with *err set; the caller discards what was written.
     * Keeps no state. */
    int (*write)(sqlite3 *db, const struct format_options *options, struct output *out,
                 struct error *err);

    /* What the user should be told on stderr once `path` (NULL: standard output) is written, such
     * as how to open it: one or more lines into `text`, empty if there is nothing to say. May be
     * NULL. */
    void (*advise)(const struct format_options *options, const char *path, char *text, size_t size);
};

/* All formats, in the order of --help; ends with NULL. */
extern const struct format *const formats[];

/* The format called `name`, or NULL. */
const struct format *format_find(const char *name);

/* The format whose suffixes or prefixes fit the base name of `path`, or NULL. */
const struct format *format_guess(const char *path);

/* For `check` of a format that sorts by one key of struct format_options' `sort`: is it one of
 * `keys`, which ends with NULL? */
int format_check_sort(const struct format_options *options, const char *const *keys,
                      struct error *err);

/* The value of --sort=KEY; -1: it is none of enum format_sort. */
int format_sort_value(const char *key);

/* For --per-thread into files: each thread's part by `write_part`, from the second on into a file
 * of its own; without threads one part, of thread 0, which has nothing. 0, or -1 with *err set. */
int format_write_threads(sqlite3 *db, struct output *out,
                         int (*write_part)(void *context, int64_t thread_id), void *context,
                         struct error *err);

/* For `advise` of a format that --file cannot shorten, its sums being about all files. */
void format_advise_whole(const struct format_options *options, const char *path, char *text,
                         size_t size);

/* For `advise` of the format `name`, a report of all threads together whatever --per-thread says.
 */
void format_advise_unsplit(const struct format_options *options, const char *name, char *text,
                           size_t size);

/* Do the --file patterns show `path` (files.path)? Each is a glob on the whole path; one without
 * '/' on the base name; after "re:" a POSIX extended regular expression searched in the path. After
 * '!' it hides. The last that fits decides; where none does, files are shown if the first pattern
 * hides. NULL patterns: yes. */
bool format_file_matches(const char *const *patterns, const char *path);

#endif
