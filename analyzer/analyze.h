/* analyze.h - traces to a database, in one pass.
 *
 * The events of each thread are replayed and summed in memory; what reaches SQLite are sums
 * (formats/profile.sql). Memory grows with the program's distinct contexts, not with its events.
 */
#ifndef ANALYZER_ANALYZE_H
#define ANALYZER_ANALYZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

struct error;
struct pattern_list;

/* What of the traces counts; all zero: everything. */
struct selection {
    const char *thread;                  /* name, native id or thread number as text; NULL: all */
    int64_t pid;                         /* 0: all */
    const struct pattern_list *patterns; /* include and exclude, on paths; NULL: all. Borrowed */
    const char *const *windows; /* their owners, ends with NULL; NULL: everything. Borrowed */
};

/* What the work cost, for -v. */
struct analyze_statistics {
    uint64_t events, bytes;
    uint64_t threads, contexts;
    struct analyze_stage {
        double seconds;
        uint64_t memory;  /* the most the process had at its end, bytes */
    } read,               /* walk and check the files, read facts */
        aggregate,        /* replay the events */
        store;            /* write the database */
    uint64_t peak_memory; /* bytes of sums held at one time */
};

struct analyze_options {
    struct selection selection;
    bool statements;     /* tell lines that go on with a statement from those that begin one */
    unsigned workers;    /* threads that may work; 0 and 1: this one alone */
    const char *version; /* for meta.pyanalyze_version; NULL: "unknown" */

    /* Called now and then with the bytes done and to do. Not 0: stop, with an error. May be NULL.
     */
    int (*progress)(void *context, uint64_t done, uint64_t total);
    void *progress_context;

    struct analyze_statistics *statistics; /* filled in if not NULL */
};

/* Analyzes the traces into one database: a new file at `db_path`, which appears whole or not at all
 * (what was there before is replaced), or one in memory if that is NULL. If `db` is not NULL it
 * gets an open connection, to be closed by the caller. 0, or -1 with *err set. What is merely
 * doubtful is in the table `warnings`. */
int analyze_traces(const char *const *paths, size_t count, const struct analyze_options *options,
                   const char *db_path, sqlite3 **db, struct error *err);

#endif
