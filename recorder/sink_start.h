/* sink_start.h - a trace begins: its first page, and the chunk with the run's settings. */
#ifndef RECORDER_SINK_START_H
#define RECORDER_SINK_START_H

#include <stddef.h>

#include "recorder/sink.h"

/* Writes it into the empty file `fd`, with a new mark, whose digits go to `mark`. 0 or an errno. */
int sink_start_write(int fd, const struct sink_setting *settings, size_t count, char mark[33]);

#endif
