#include "analyzer/command.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/analyze.h"
#include "analyzer/events_table.h"
#include "analyzer/sql_functions.h"
#include "analyzer/statement_tables.h"
#include "formats/error.h"
#include "formats/query.h"
#include "formats/text.h"

enum { WORKERS_MAX = 16, WARNINGS_SHOWN = 20 };

/* ---- loading ---- */

static void hold_signals(sigset_t *held, sigset_t *before)
{
    sigemptyset(held);
    sigaddset(held, SIGINT);
    sigaddset(held, SIGTERM);
    sigaddset(held, SIGHUP);
    sigprocmask(SIG_BLOCK, held, before);
}

struct load_progress {
    struct progress *progress;
    sigset_t held; /* signals that end the work in order, so that no temporary file stays behind */
};

static int on_progress(void *context, uint64_t done, uint64_t total)
{
    struct load_progress *load = context;
    sigset_t pending;

    progress_update(load->progress, done, total);
    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM) ||
            sigismember(&pending, SIGHUP));
}

static unsigned count_workers(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    return processors < 1 ? 1 : processors > WORKERS_MAX ? WORKERS_MAX : (unsigned)processors;
}

static void tell_load_cost(struct command *command, const struct analyze_statistics *cost)
{
    double events = cost->events > 0 ? (double)cost->events : 1;
    char detail[320];

    snprintf(
        detail, sizeof detail,
        "%llu events, %llu bytes, %.2f bytes and %.1f ns an event (read %.3f s, %.1f MB; replay "
        "%.3f s, %.1f MB; store %.3f s, %.1f MB), %llu contexts, %.1f MB of sums",
        (unsigned long long)cost->events, (unsigned long long)cost->bytes,
        (double)cost->bytes / events,
        (cost->read.seconds + cost->aggregate.seconds + cost->store.seconds) * 1e9 / events,
        cost->read.seconds, (double)cost->read.memory / 1e6, cost->aggregate.seconds,
        (double)cost->aggregate.memory / 1e6, cost->store.seconds, (double)cost->store.memory / 1e6,
        (unsigned long long)cost->contexts, (double)cost->peak_memory / 1e6);
    progress_end(&command->progress, detail);
}

static int load_traces(struct command *command, struct error *err)
{
    const struct options *options = command->options;
    struct load_progress load = {.progress = &command->progress};
    struct analyze_statistics cost = {0};
    const struct analyze_options how = {
        .selection = {options->thread, options->pid, options->patterns, options->windows.items},
        .statements = options->statements,
        .workers = count_workers(),
        .version = PYREC_VERSION,
        .progress = on_progress,
        .progress_context = &load,
        .statistics = &cost,
    };
    sigset_t before;
    int status;

    progress_begin(&command->progress, "analyze");
    hold_signals(&load.held, &before);
    status = analyze_traces(command->traces.items, command->traces.count, &how,
                            options->database_path, &command->db, err);
    sigprocmask(SIG_SETMASK, &before, NULL); /* a signal that was held takes its course here */
    tell_load_cost(command, &cost);
    return status;
}

/* What cannot be done to a database any more. */
static int check_selection(const struct options *options, const char *path, struct error *err)
{
    const char *option = options->thread != NULL     ? "--thread"
                         : options->pid != 0         ? "--process"
                         : options->patterns != NULL ? "--include and --exclude"
                         : options->windows.count    ? "--window"
                                                     : NULL;

    if (option == NULL)
        return 0;
    return error_set_usage(err, "%s: %s needs the trace, %s holds only sums", path, option, path);
}

static int load_database(struct command *command, struct error *err)
{
    const struct options *options = command->options;

    if (check_selection(options, command->database, err) < 0)
        return -1;
    if (options->database_path != NULL)
        return error_set_usage(err, "--db %s: %s is a database already", options->database_path,
                               command->database);
    return command_open_database(command, err);
}

static int load(struct command *command, struct error *err)
{
    int code;

    if ((command->database != NULL ? load_database : load_traces)(command, err) < 0)
        return -1;
    if (command->options->statements && statement_tables_make(command->db, err) < 0)
        return -1;
    code = sql_functions_register(command->db);
    if (code == SQLITE_OK)
        code = events_table_register(command->db, command->traces.items, command->traces.count);
    return code == SQLITE_OK ? 0 : error_set(err, "%s", sqlite3_errstr(code));
}

/* ---- warnings ---- */

static void tell_warning(struct command *command, struct query *query)
{
    struct text line = {0};
    size_t size;
    const char *bytes = query_text(query, 0, &size);

    text_add_printable(&line, bytes, size);
    text_add_string(&line, ": ");
    bytes = query_text(query, 1, &size);
    text_add_printable(&line, bytes, size);
    progress_clear(&command->progress);
    fprintf(stderr, "pyanalyze: warning: %s\n", text_string(&line));
    text_fini(&line);
}

static int tell_warnings(struct command *command, struct error *err)
{
    struct query query = query_open(command->db,
                                    "SELECT runs.path, warnings.text FROM main.warnings "
                                    "JOIN main.runs USING (run_id) ORDER BY run_id, warnings.rowid",
                                    err);

    for (; query_next(&query); command->warnings++) {
        if (command->warnings < WARNINGS_SHOWN)
            tell_warning(command, &query);
    }
    if (query_close(&query) < 0)
        return -1;
    if (command->warnings > WARNINGS_SHOWN)
        fprintf(stderr, "pyanalyze: warning: %zu more in the table `warnings`\n",
                command->warnings - WARNINGS_SHOWN);
    return 0;
}

/* A selection that selects nothing is most likely a slip of the pen. */
static int check_selected(struct command *command, struct error *err)
{
    const struct options *options = command->options;
    uint64_t threads;

    if (options->thread == NULL && options->pid == 0 && options->windows.count == 0)
        return 0;
    if (query_number(command->db, "SELECT count(*) FROM main.threads", &threads, err) < 0)
        return -1;
    if (threads == 0) {
        fputs("pyanalyze: warning: no thread is selected: none matches --thread, --process "
              "and --window\n",
              stderr);
        command->warnings++;
    }
    return 0;
}

/* ---- the whole ---- */

static int read_queries(struct command *command, struct error *err)
{
    const struct options_list *words = &command->options->queries;

    command->queries = calloc(words->count + 1, sizeof *command->queries);
    if (command->queries == NULL)
        return error_set(err, "out of memory");
    for (size_t i = 0; i < words->count; i++) {
        if (sql_query_read(&command->queries[i], words->items[i], err) < 0)
            return -1;
    }
    return 0;
}

/* Formats and queries do not know what the database they read is called. */
static void name_database(const struct command *command, struct error *err)
{
    static const char nameless[] = "the database ";
    char text[sizeof err->text];

    if (command->database == NULL || strncmp(err->text, nameless, sizeof nameless - 1) != 0)
        return;
    memcpy(text, err->text, sizeof text);
    err->text[0] = '\0';
    error_set(err, "%s: %s", command->database, text);
}

static int run_steps(struct command *command, struct error *err)
{
    if (command_look_at_inputs(command, err) < 0 || command_check_outputs(command, err) < 0 ||
        read_queries(command, err) < 0 || load(command, err) < 0)
        return -1;
    if (tell_warnings(command, err) < 0 || check_selected(command, err) < 0)
        return -1;
    return command_write_outputs(command, err);
}

int command_run(const struct options *options, bool *warned, struct error *err)
{
    struct command command = {.options = options};
    int status;

    terminal_look(&command.terminal, options->colour, options->no_pager);
    progress_init(&command.progress, options->verbose);
    status = run_steps(&command, err);
    name_database(&command, err);
    terminal_finish(&command.terminal);
    *warned = command.warnings > 0;
    sqlite3_close(command.db);
    for (size_t i = 0; command.queries != NULL && i < options->queries.count; i++)
        sql_query_fini(&command.queries[i]);
    free(command.queries);
    free(command.traces.items);
    return status;
}
