/* closing.h - the one line about the trace when the program is over. */
#ifndef RECORDER_CLOSING_H
#define RECORDER_CLOSING_H

#include <stdbool.h>

/* Remembers where the process's standard error leads. */
void closing_prepare(void);

/* Does it lead there still? */
bool closing_owns_stderr(void);

/* Prints the line, as the settings want it; never into a file that the program has put in the
 * place of standard error. */
void closing_print(void);

#endif
