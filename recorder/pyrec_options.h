/* pyrec_options.h - the command line of pyrec.
 *
 * Options end at SCRIPT, MODULE or CODE; everything behind is the program's. Python's own options
 * may stand among ours, except -q, -S and -v, which mean something else here (--python-args has
 * them).
 */
#ifndef RECORDER_PYREC_OPTIONS_H
#define RECORDER_PYREC_OPTIONS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recorder/pyrec_error.h"

/* PYREC_KERNPROF: `arguments` are for pyrec.compat.kernprof. */
enum pyrec_action { PYREC_RUN, PYREC_ANALYZE, PYREC_KERNPROF, PYREC_HELP, PYREC_VERSION_LINE };

/* What the program is: a file, folder, zip or `-`; the module after -m; the text after -c. */
enum pyrec_form { PYREC_SCRIPT, PYREC_MODULE, PYREC_CODE };

/* Strings, each owned. */
struct pyrec_list {
    char **items; /* NULL-terminated once it has an item */
    size_t count;
};

struct pyrec_options {
    enum pyrec_action action;
    const char *out;
    const char *python; /* NULL: to be looked for */
    bool force, exclude_syspath, no_threads, no_children, no_source, c_calls, echo, quiet, verbose;
    uint64_t sample_ns; /* --sample: between two samples; 0: record everything */
    uint64_t max_depth; /* frames */
    int toggle_signal;  /* 0: none */
    uint64_t max_size; /* bytes; 0: no limit */
    uint64_t min_free; /* bytes, or percent of the disk: */
    bool min_free_is_percent;
    struct pyrec_list filters; /* `+pattern` or `-pattern`, in order */
    struct pyrec_list then;    /* FORMAT or FORMAT=FILE */

    /* Of a front end (pyrec_frontend.h): */
    const char *help;                 /* what its --help shows; NULL: that of pyrec */
    struct pyrec_list report;         /* what pyanalyze is told behind the trace's name */
    bool is_temporary, hide_syspath, print_events;
    char folder[PATH_MAX / 2];        /* of the temporary trace; empty: none */
    char folder_trace[PATH_MAX];

    enum pyrec_form form;
    const char *operand;           /* borrowed: SCRIPT, MODULE or CODE */
    struct pyrec_list interpreter; /* its arguments up to and with the operand */
    char **arguments;              /* borrowed: the program's, NULL-terminated */
};

/* Reads the command line. Whatever the result, pyrec_options_free() takes back what `options` owns.
 */
int pyrec_options_parse(char **argv, struct pyrec_options *options, struct pyrec_error *err);
void pyrec_options_free(struct pyrec_options *options);

/* What --help shows. */
const char *pyrec_options_help(void);

/* `text` as an amount of bytes: a number and one of K M G T (times 1024), or none. False: it is not
 * one. */
bool pyrec_options_read_size(const char *text, uint64_t *bytes);

/* `text` as a time between two samples, in ns: 1ms, 100us, 0.001 (seconds), 1kHz. False: it is not
 * one, or not between 10 us and an hour. */
bool pyrec_options_read_period(const char *text, uint64_t *ns);

/* Adds the words of `text`, which blanks separate and quotes and backslashes hold together as in a
 * shell. */
int pyrec_options_split(const char *text, struct pyrec_list *words, struct pyrec_error *err);

/* Adds `head` and `tail` joined, at the end or before the item `at`. */
int pyrec_list_add(struct pyrec_list *list, const char *head, const char *tail,
                   struct pyrec_error *err);
int pyrec_list_insert(struct pyrec_list *list, size_t at, const char *text,
                      struct pyrec_error *err);
void pyrec_list_free(struct pyrec_list *list);

#endif
