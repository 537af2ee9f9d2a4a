/* pyrec_frontend.h - `pyrec pprofile …` and `pyrec cprofile …`: the command lines of two others.
 *
 * Whoever knows pprofile or cProfile types what they would type there, and reads what they print:
 * the program is recorded, the report follows when it is over, and the trace goes.
 */
#ifndef RECORDER_PYREC_FRONTEND_H
#define RECORDER_PYREC_FRONTEND_H

#include <stdbool.h>

#include "recorder/pyrec_options.h"

/* Is this word the name of a front end? */
bool pyrec_frontend_is(const char *word);

/* Reads the command line from the front end's name on. Fills `options` as for `pyrec run`, the
 * report and where the trace goes included. */
int pyrec_frontend_parse(char **argv, struct pyrec_options *options, struct pyrec_error *err);

/* Completes the report once the interpreter is known: what --exclude-syspath means to it. */
int pyrec_frontend_settle(struct pyrec_options *options, const char *python,
                          struct pyrec_error *err);

/* Makes the folder for a trace that is nobody's, and removes it, trace and all. */
int pyrec_frontend_make_folder(struct pyrec_options *options, struct pyrec_error *err);
void pyrec_frontend_remove_folder(struct pyrec_options *options);

#endif
