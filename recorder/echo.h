/* echo.h - each event on standard error, as it happens (--echo).
 *
 * Only a recording with this setting comes here: its threads take the slow way with every event,
 * and the others pay nothing. Names and texts are kept by their numbers in the trace.
 */
#ifndef RECORDER_ECHO_H
#define RECORDER_ECHO_H

#include <stddef.h>
#include <stdint.h>

#include "formats/trace/trace.h"

struct thread;

/* What a number in the trace stands for; the strings are copied. Without the setting nothing is
 * kept. `text` may be NULL. */
void echo_define_code(uint32_t number, uint32_t file, const char *qualname, size_t size);
void echo_define_file(uint32_t number, const char *name, size_t size, const void *text,
                      size_t text_size);
void echo_define_string(uint32_t number, const char *string, size_t size);

/* Prints the event that the thread has just recorded about its top frame. `string`: the number of
 * its operand, if that is one. */
void echo_event(const struct thread *t, enum trace_tag tag, uint32_t string);

/* The recording is over. */
void echo_forget(void);

#endif
