/* pyrec_settings.h - what the trace's RUN chunk says of a run (TRACE.md section 4), and what the
 * recorder reads there.
 */
#ifndef RECORDER_PYREC_SETTINGS_H
#define RECORDER_PYREC_SETTINGS_H

#include "recorder/pyrec_options.h"
#include "recorder/sink.h"

struct pyrec_settings {
    struct sink_setting *items; /* keys borrowed, values owned */
    size_t count;
    bool is_short; /* memory ran out */
};

/* `min_free` in bytes. 0, or -1 and `settings` is empty. */
int pyrec_settings_collect(const struct pyrec_options *options, const char *python,
                           uint64_t min_free, struct pyrec_settings *settings,
                           struct pyrec_error *err);
void pyrec_settings_free(struct pyrec_settings *settings);

#endif
