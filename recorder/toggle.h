/* toggle.h - --toggle-signal: a signal that stops recording for a while, and lets it go on.
 *
 * It is a handler as signal.signal() has them, so it runs between two instructions of the main
 * thread, where a pause can begin and end. A program that sets a handler of its own for that signal
 * takes ours away, and the trace says so.
 */
#ifndef RECORDER_TOGGLE_H
#define RECORDER_TOGGLE_H

#include <stdbool.h>
#include <stddef.h>

/* Sets the handler if the settings name a signal. The GIL is held, in the main thread. 0, or -1
 * with a sentence in `why`. */
int toggle_attach(char *why, size_t why_size);

/* Has the program taken the signal? In a fork's child: has its parent, or it? */
bool toggle_was_taken(void);

#endif
