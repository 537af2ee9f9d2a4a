/* terminal.h - what is at the other end: a terminal of some width, with or without colour, behind a
 * pager.
 *
 * Only dress depends on it, never what is printed.
 */
#ifndef ANALYZER_TERMINAL_H
#define ANALYZER_TERMINAL_H

#include <stdbool.h>
#include <sys/types.h>

#include "formats/output.h"

struct terminal {
    bool present;                 /* standard output is a terminal */
    struct output_terminal dress; /* for output_open_stdout() */
    bool paged;                   /* a pager is wanted, none started yet */
    pid_t pager;                  /* the running pager, 0: none */
};

/* Looks at standard output and the environment (NO_COLOR, TERM, COLUMNS, PAGER). `colour`: enum
 * options_colour. */
void terminal_look(struct terminal *terminal, int colour, bool no_pager);

/* Puts the pager behind standard output if one is wanted: $PAGER, else less. Without one nothing
 * happens. */
void terminal_start_pager(struct terminal *terminal);

/* Ends standard output and waits until the user leaves the pager. */
void terminal_finish(struct terminal *terminal);

#endif
