/* settings.h - what the user asked of the recording, as the trace's RUN chunk has it.
 *
 * Every process of a run reads them from there, so that nothing but the trace's path travels.
 */
#ifndef RECORDER_SETTINGS_H
#define RECORDER_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pattern_list;

struct recorder_settings {
    struct pattern_list *filter; /* owned; NULL: everything */
    bool exclude_syspath;        /* leave out the standard library and site-packages */
    bool threads;                /* record other threads than the main one */
    bool children;               /* go on in forked children */
    bool source;                 /* put source text into the trace */
    bool c_calls;                /* record calls of C functions */
    bool echo;                   /* print each event, too */
    uint64_t sample_ns;          /* take samples this often; 0: record everything */
    size_t max_depth;            /* frames of a sample that are looked at */
    int toggle_signal;           /* stops recording and lets it go on; 0: none */
    int closing_line; /* 0 never, 1 if stderr is a terminal, 2 always, with our own cost */
};

/* Reads the settings of recorder.sink into recorder.settings, its limits into the sink. 0, or -1
 * with a sentence in `why`. */
int settings_read(char *why, size_t why_size);

/* Takes them back. */
void settings_free(void);

#endif
