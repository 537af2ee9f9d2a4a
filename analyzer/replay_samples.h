/* replay_samples.h - a thread that was sampled, brought into the same sums as one that was
 * recorded.
 *
 * The samples of all chunks are gathered in one tree of (code, line), and each node's time is then
 * played as if the thread had been there once, for all of it: so cumulative times, edges and
 * contexts come out by the rules of replay. Calls are not known. What samples alone can tell is in
 * sample_sums.h.
 */
#ifndef ANALYZER_REPLAY_SAMPLES_H
#define ANALYZER_REPLAY_SAMPLES_H

#include "analyzer/replay.h"

/* As replay_thread(), which calls it for a thread of SAMPLES chunks, with all begun. */
int replay_samples(struct replay *replay, const struct trace_file *file,
                   const struct trace_thread *thread, replay_progress *progress, void *context,
                   struct error *err);

#endif
