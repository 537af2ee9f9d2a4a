/* recorder.h - the recording of this process: its settings, its place in the run, its beginning and
 * end.
 *
 * One a process. Threads, codes and backends reach what they share through the one global here.
 */
#ifndef RECORDER_RECORDER_H
#define RECORDER_RECORDER_H

#include <stdatomic.h>
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
    bool is_first;        /* the process the pyrec command became */
    atomic_bool active;   /* a recording has begun, and has not been ended by the program */
    atomic_bool running;  /* events are wanted; false for good once it failed or is full */
    atomic_bool paused;   /* ... but only for a while */
    bool is_guest;        /* begun by the program itself, which may end it */
    bool forked;          /* this is a child that has not been entered into the trace yet */
    uint32_t code_base;   /* in such a child: numbers below it are the parent's */
    uint64_t stamp_ticks; /* an interval longer than this gets a CPU stamp */
    _Atomic uint64_t halted_ticks; /* when recording stopped, or paused, before the process ended */
    pid_t only_thread;             /* without settings.threads: the one that is recorded */
    char *cwd;                     /* owned: when the process began, for relative file names */
};

extern struct recorder recorder;

/* Begins recording this process. 0, or -1 with a sentence in `why`; then nothing is left behind.
 * The GIL is held. */
int recorder_start(const struct inside_run *run, struct inside_hooks *hooks, char *why,
                   size_t why_size);

/* The same in the middle of a program that asked for it. Takes over the open sink, and closes it on
 * failure. */
int recorder_start_guest(struct sink *sink, char *why, size_t why_size);

/* The end of what recorder_start_guest() began, after which another recording can begin. The GIL is
 * held, for these four. */
void recorder_stop(void);

/* Now, in ticks: up to here all threads that are recorded are where their stacks say. */
uint64_t recorder_set_boundaries(void);

/* Nothing is recorded, and nothing is slower, between the two. The moment, in ticks. */
uint64_t recorder_pause(void);
uint64_t recorder_resume(void);

/* Enters a fork's child into the trace as a process of its own, if that has not been done. Called
 * by whatever writes first. */
void recorder_enter_child(void);

/* No more events from this process; the program goes on. Needs no GIL. */
void recorder_halt(void);

/* After that, where the GIL is held: the interpreter need not tell us anything any more. */
void recorder_detach(void);

#endif
