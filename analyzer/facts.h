/* facts.h - what a trace says about its run, processes, threads, files and code (TRACE.md section
 * 4).
 *
 * Everything is read once, when the trace is opened; strings are borrowed from the facts and live
 * as long as they do. Numbers of code, files and strings are looked up as a process sees them: what
 * a forked process does not define itself it has from its parent, below its code base.
 */
#ifndef ANALYZER_FACTS_H
#define ANALYZER_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/trace/decode.h"

struct error;
struct trace_file;
struct facts;

/* Who defined it, under which number, and when. */
struct facts_key {
    uint32_t process;
    uint64_t number;
    size_t order;
};

struct facts_file {
    struct facts_key key;
    struct trace_bytes path, name;
    uint64_t origin;           /* enum trace_origin, or unknown */
    struct trace_bytes sha256; /* 32 bytes, or empty */
    uint64_t size;             /* of the text */
    uint32_t id;               /* spare for the caller: the row in the database */
};

struct facts_code {
    struct facts_key key;
    uint64_t nested_in; /* a code number, 0: none or not known */
    uint64_t file_number;
    struct facts_file *file; /* NULL: no fact */
    int64_t first_line;      /* 0 .. 2^31 - 1 */
    uint64_t flags;          /* enum trace_code_flag */
    struct trace_bytes name, qualname, module;
    struct trace_bytes lines; /* executable lines as in the trace; see facts_next_line() */
    uint64_t line_count;
    uint32_t id; /* spare for the caller: the function's row */
};

struct facts_thread {
    struct facts_key key; /* its number is the thread's */
    uint64_t native_id;
    struct trace_bytes name; /* empty: none */
    bool is_main;
};

struct facts_process {
    uint32_t number;
    uint64_t parent; /* a process number, 0: none */
    uint64_t how;    /* enum trace_process_how */
    uint64_t pid;
    uint64_t code_base;
    uint64_t start_ticks;
    struct trace_bytes executable, python, cwd, command; /* command: arguments, each ended by NUL */
    uint64_t start_time;    /* clock ticks since its machine began, 0: not known */
    uint64_t pid_namespace; /* of its pid, 0: not known */
    bool known;             /* a PROCESS record was there */
    bool ended;             /* an END record was there */
    uint64_t end_how, end_status, end_ticks;
    bool reaped; /* a parent's CHILD record tells of its end */
    uint64_t wait_status;
    uint64_t reaped_ticks;
    uint64_t taken_signal; /* that should stop and start recording; 0: none */
    uint64_t taken_ticks;
};

/* What the recorder says of a thread when it is done with it. */
struct facts_stats {
    struct facts_key key; /* its number is the thread's */
    uint64_t events;      /* that were written */
};

struct facts_setting {
    struct trace_bytes key, value;
};

struct facts_gap {
    uint32_t process;
    uint64_t thread; /* 0: all */
    uint64_t reason;
    uint64_t start_ticks, end_ticks;
};

/* A part of the recording that somebody asked for. */
struct facts_window {
    struct facts_key key; /* its number is the window's */
    struct trace_bytes owner;
    uint64_t thread;                 /* 0: all */
    uint64_t start_ticks, end_ticks; /* end 0: still open */
};

/* How sampling went in a process. */
struct facts_sampler {
    uint32_t process;
    uint64_t period, due, late; /* ns; rounds */
    uint64_t taken, missed;     /* samples */
    uint64_t cpu;               /* ns */
};

/* What could not be read. */
struct facts_trouble {
    uint64_t records; /* records whose fields do not decode */
    uint64_t unknown; /* kinds this version does not know */
    uint64_t lost;    /* FACTS chunks missing */
};

/* Reads the facts of an open trace, which must outlive them. NULL with *err set. */
struct facts *facts_read(const struct trace_file *file, struct error *err);
void facts_free(struct facts *facts);

/* Lookup as `process` sees the number. NULL: no fact defines it. */
struct facts_code *facts_code(const struct facts *facts, uint32_t process, uint64_t number);
struct facts_file *facts_file(const struct facts *facts, uint32_t process, uint64_t number);
bool facts_string(const struct facts *facts, uint32_t process, uint64_t number,
                  struct trace_bytes *text);

/* The process or thread of that number, or NULL. */
struct facts_process *facts_process(const struct facts *facts, uint32_t process);
const struct facts_thread *facts_thread(const struct facts *facts, uint32_t process,
                                        uint64_t thread);

/* All of them: processes and threads by number, files, code and windows by process and number, the
 * rest as written. */
size_t facts_process_count(const struct facts *facts);
struct facts_process *facts_process_at(const struct facts *facts, size_t i);
struct facts_thread *facts_threads(const struct facts *facts, size_t *count);
struct facts_file *facts_files(const struct facts *facts, size_t *count);
struct facts_code *facts_codes(const struct facts *facts, size_t *count);
const struct facts_setting *facts_settings(const struct facts *facts, size_t *count);
const struct facts_gap *facts_gaps(const struct facts *facts, size_t *count);
const struct facts_sampler *facts_samplers(const struct facts *facts, size_t *count);
const struct facts_window *facts_windows(const struct facts *facts, size_t *count);
/* Events that the thread's last record of it tells of, 0 if there is none. */
uint64_t facts_events_written(const struct facts *facts, uint32_t process, uint64_t thread);
const struct facts_stats *facts_stats(const struct facts *facts, size_t *count);
const struct facts_trouble *facts_trouble(const struct facts *facts);

/* The (last) value of a setting, or empty. */
struct trace_bytes facts_setting(const struct facts *facts, const char *key);

/* The executable lines of a code object, ascending. Begin with facts_lines(); false at the end. */
struct facts_lines {
    struct trace_cursor cursor;
    uint64_t left;
    int64_t line;
};
struct facts_lines facts_lines(const struct facts_code *code);
bool facts_next_line(struct facts_lines *lines, int64_t *line);

#endif
