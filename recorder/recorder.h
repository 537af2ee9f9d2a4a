/* recorder.h - the recording of this process: its settings, its place in the run, its beginning and
 * end.
 *
 * One a process. Threads, codes and backends reach what they share through the one global here.
 */
#ifndef RECORDER_RECORDER_H
#define RECORDER_RECORDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "recorder/settings.h"
#include "recorder/sink.h"

struct inside_run;
struct inside_hooks;

struct recorder {
    struct sink sink;
    struct recorder_settings settings;
    uint32_t process; /* its number in the run */
    pid_t pid;
    bool is_first;         /* the process the pyrec command became */
    bool running;          /* events are wanted; false for good once recording stopped */
    bool forked;           /* this is a child that has not been entered into the trace yet */
    uint32_t code_base;    /* in such a child: numbers below it are the parent's */
    uint64_t stamp_ticks;  /* an interval longer than this gets a CPU stamp */
    uint64_t halted_ticks; /* when recording stopped before the process ended, else 0 */
    char *cwd;             /* owned: when the process began, for relative file names */
};

extern struct recorder recorder;

/* Begins recording this process. 0, or -1 with a sentence in `why`; then nothing is left behind.
 * The GIL is held. */
int recorder_start(const struct inside_run *run, struct inside_hooks *hooks, char *why,
                   size_t why_size);

/* Enters a fork's child into the trace as a process of its own, if that has not been done. Called
 * by whatever writes first. */
void recorder_enter_child(void);

/* No more events from this process; the program goes on. Needs no GIL. */
void recorder_halt(void);

/* After that, where the GIL is held: the interpreter need not tell us anything any more. */
void recorder_detach(void);

#endif
