/* command.h - one run of pyanalyze, from inputs to results.
 *
 * Inputs are looked at and outputs checked before anything long begins; then the traces are loaded
 * once (or a database opened) and written in order: database, zip, reports, rows of queries.
 */
#ifndef ANALYZER_COMMAND_H
#define ANALYZER_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include <sqlite3.h>

#include "analyzer/options.h"
#include "analyzer/progress.h"
#include "analyzer/sql.h"
#include "analyzer/terminal.h"

struct error;

struct command {
    const struct options *options; /* borrowed */
    struct terminal terminal;
    struct progress progress;

    struct options_list traces; /* the inputs that are traces, or claim nothing else */
    const char *database;       /* borrowed; the input that is a database, NULL: none */
    struct sql_query *queries;  /* owned; one for each --sql */
    sqlite3 *db;                /* owned */
    size_t warnings;            /* how many the user was given */
};

/* Does what the options ask. `*warned`: there was something to warn of. 0, or -1 with *err set. */
int command_run(const struct options *options, bool *warned, struct error *err);

/* ---- its steps; each 0, or -1 with *err set ---- */

/* Tells traces from databases (command_inputs.c). */
int command_look_at_inputs(struct command *command, struct error *err);

/* Opens the database among the inputs, which may come from anybody: read-only, its own code not
 * trusted. */
int command_open_database(struct command *command, struct error *err);

/* Would the outputs replace something they must not (command_outputs.c)? */
int command_check_outputs(struct command *command, struct error *err);

/* Writes zip, reports and rows. */
int command_write_outputs(struct command *command, struct error *err);

#endif
