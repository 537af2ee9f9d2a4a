#include "analyzer/events_table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/events_columns.h"
#include "analyzer/events_runs.h"
#include "analyzer/events_walk.h"
#include "formats/error.h"

/* ---- making and destroying it ---- */

/* What events_table_register() was told. */
struct events_source {
    const char *const *paths;
    size_t count;
};

struct events_table {
    sqlite3_vtab base;
    struct events_runs runs;
};

static int table_fail(struct events_table *table, const struct error *err)
{
    sqlite3_free(table->base.zErrMsg);
    table->base.zErrMsg = sqlite3_mprintf("%s", err->text);
    return SQLITE_ERROR;
}

static void table_free(struct events_table *table)
{
    events_runs_fini(&table->runs);
    free(table);
}

/* A copy of an argument of CREATE VIRTUAL TABLE without its quotes; NULL: out of memory. */
static char *unquote(const char *argument)
{
    size_t size = strlen(argument);
    char quote = argument[0], *copy = malloc(size + 1), *to = copy;

    if (copy == NULL)
        return NULL;
    if (size < 2 || (quote != '\'' && quote != '"') || argument[size - 1] != quote)
        return memcpy(copy, argument, size + 1);
    for (const char *at = argument + 1; at < argument + size - 1; at++) {
        if (*at == quote && at[1] == quote)
            at++;
        *to++ = *at;
    }
    *to = '\0';
    return copy;
}

static int add_path(struct events_table *table, char *path)
{
    if (path == NULL)
        return SQLITE_NOMEM;
    table->runs.paths[table->runs.path_count++] = path;
    return SQLITE_OK;
}

/* Paths come from the arguments, or from whoever registered the module. */
static int set_paths(struct events_table *table, const struct events_source *source, int count,
                     const char *const *arguments)
{
    int code = SQLITE_OK;

    table->runs.bound = source != NULL;
    table->runs.paths =
        calloc((size_t)count + (source != NULL ? source->count : 0) + 1, sizeof *table->runs.paths);
    if (table->runs.paths == NULL)
        return SQLITE_NOMEM;
    for (size_t i = 0; source != NULL && i < source->count && code == SQLITE_OK; i++)
        code = add_path(table, strdup(source->paths[i]));
    for (int i = 3; source == NULL && i < count && code == SQLITE_OK; i++)
        code = add_path(table, unquote(arguments[i]));
    return code;
}

/* Only as a temporary table: a path that stands in a database is never opened. */
static int check_arguments(bool sourced, int count, const char *const *arguments, char **message)
{
    if (sqlite3_stricmp(arguments[1], "temp") != 0)
        *message =
            sqlite3_mprintf("%s: make it a temporary table: CREATE VIRTUAL TABLE temp.%s ...",
                            arguments[0], arguments[2]);
    else if (sourced && count > 3)
        *message = sqlite3_mprintf("%s: takes no arguments here; name traces on the command line",
                                   arguments[0]);
    else if (!sourced && count <= 3)
        *message = sqlite3_mprintf("%s: needs the path of a trace: USING %s('trace.bin')",
                                   arguments[0], arguments[0]);
    return *message == NULL ? SQLITE_OK : SQLITE_ERROR;
}

static int table_connect(sqlite3 *db, void *data, int count, const char *const *arguments,
                         sqlite3_vtab **result, char **message)
{
    const struct events_source *source = data;
    struct events_table *table;
    struct error err = {.usage = 0};
    int code = check_arguments(source != NULL, count, arguments, message);

    if (code != SQLITE_OK)
        return code;
    table = calloc(1, sizeof *table);
    if (table == NULL)
        return SQLITE_NOMEM;
    table->runs.db = db;
    code = set_paths(table, source, count, arguments);
    if (code == SQLITE_OK && source == NULL && events_runs_open(&table->runs, &err) < 0) {
        *message = sqlite3_mprintf("%s", err.text);
        code = SQLITE_ERROR;
    }
    if (code == SQLITE_OK)
        code = sqlite3_declare_vtab(db, EVENTS_COLUMNS_DECLARATION);
    if (code == SQLITE_OK)
        code = sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS); /* temporary views may use it */
    if (code != SQLITE_OK) {
        table_free(table);
        return code;
    }
    *result = &table->base;
    return SQLITE_OK;
}

static int table_disconnect(sqlite3_vtab *base)
{
    table_free((struct events_table *)base);
    return SQLITE_OK;
}

/* ---- planning ---- */

/* A condition that is used while decoding. Its arguments of xFilter come in the order of this list.
 */
struct use {
    int column;
    unsigned char op;
    double share; /* of the rows, a guess */
    double cost;  /* of the work */
};

static const struct use uses[] = {
    {EVENTS_COLUMN_RUN, SQLITE_INDEX_CONSTRAINT_EQ, 0.5, 0.5},
    {EVENTS_COLUMN_PROCESS, SQLITE_INDEX_CONSTRAINT_EQ, 0.2, 0.2},
    {EVENTS_COLUMN_THREAD, SQLITE_INDEX_CONSTRAINT_EQ, 0.1, 0.1},
    {EVENTS_COLUMN_FILE_ID, SQLITE_INDEX_CONSTRAINT_EQ, 0.1, 0.8},
    {EVENTS_COLUMN_FUNCTION_ID, SQLITE_INDEX_CONSTRAINT_EQ, 0.02, 0.8},
    {EVENTS_COLUMN_TIME, SQLITE_INDEX_CONSTRAINT_EQ, 1e-6, 0.01},
    {EVENTS_COLUMN_TIME, SQLITE_INDEX_CONSTRAINT_GE, 0.3, 0.3},
    {EVENTS_COLUMN_TIME, SQLITE_INDEX_CONSTRAINT_GT, 0.3, 0.3},
    {EVENTS_COLUMN_TIME, SQLITE_INDEX_CONSTRAINT_LE, 0.3, 0.3},
    {EVENTS_COLUMN_TIME, SQLITE_INDEX_CONSTRAINT_LT, 0.3, 0.3},
};

enum { USE_COUNT = sizeof uses / sizeof uses[0], USE_THREAD = 1 << 2 };

/* The first usable condition of that kind, or -1. */
static int find_condition(const sqlite3_index_info *info, const struct use *use)
{
    for (int i = 0; i < info->nConstraint; i++) {
        if (info->aConstraint[i].usable && info->aConstraint[i].iColumn == use->column &&
            info->aConstraint[i].op == use->op)
            return i;
    }
    return -1;
}

/* Is it the same in a whole thread, or growing with it? */
static bool follows_thread(int column)
{
    return column == EVENTS_COLUMN_SEQ || column == EVENTS_COLUMN_TIME ||
           column == EVENTS_COLUMN_PROCESS || column == EVENTS_COLUMN_RUN;
}

/* Rows come by (thread_id, seq); within one thread also by time. */
static bool order_is_natural(const sqlite3_index_info *info, bool one_thread)
{
    for (int i = 0; i < info->nOrderBy; i++) {
        int column = info->aOrderBy[i].iColumn;

        one_thread =
            one_thread || column == EVENTS_COLUMN_THREAD; /* from here on: within a thread */
        if (info->aOrderBy[i].desc || !one_thread ||
            (column != EVENTS_COLUMN_THREAD && !follows_thread(column)))
            return false;
    }
    return true;
}

static int table_plan(sqlite3_vtab *base, sqlite3_index_info *info)
{
    const struct events_table *table = (const struct events_table *)base;
    double rows = table->runs.events > 0 ? (double)table->runs.events : 1e8, cost = rows;
    int arguments = 0;

    info->idxNum = 0;
    for (int i = 0; i < USE_COUNT; i++) {
        int found = find_condition(info, &uses[i]);

        if (found < 0)
            continue;
        info->aConstraintUsage[found].argvIndex = ++arguments;
        info->aConstraintUsage[found].omit = 1;
        info->idxNum |= 1 << i;
        rows *= uses[i].share;
        cost *= uses[i].cost;
    }
    info->orderByConsumed = order_is_natural(info, (info->idxNum & USE_THREAD) != 0);
    info->estimatedCost = cost + 1000;
    info->estimatedRows = (sqlite3_int64)rows + 1;
    return SQLITE_OK;
}

/* ---- reading ---- */

/* Which rows are wanted; -1: all of them. */
struct wanted {
    int64_t run_id, process_id, thread_id, file_id, function_id;
    int64_t from_ns, to_ns;
    bool nothing; /* no row can meet the conditions */
};

struct events_cursor {
    sqlite3_vtab_cursor base;
    struct wanted wanted;
    size_t thread;            /* the current one */
    struct events_walk *walk; /* owned; over the trace of the current thread */
    bool at_end;
};

static struct events_table *table_of(struct events_cursor *cursor)
{
    return (struct events_table *)cursor->base.pVtab;
}

static int cursor_open(sqlite3_vtab *base, sqlite3_vtab_cursor **result)
{
    struct events_cursor *cursor = calloc(1, sizeof *cursor);

    (void)base;
    if (cursor == NULL)
        return SQLITE_NOMEM;
    *result = &cursor->base;
    return SQLITE_OK;
}

static int cursor_close(sqlite3_vtab_cursor *base)
{
    struct events_cursor *cursor = (struct events_cursor *)base;

    events_walk_free(cursor->walk);
    free(cursor);
    return SQLITE_OK;
}

/* The whole numbers next to a real one, within what a time or id can be. */
static void round_real(double value, int64_t *floor, int64_t *ceiling)
{
    double bounded = value >= (double)CLOCK_MAX_NS ? (double)CLOCK_MAX_NS
                     : value <= -1                 ? -1
                                                   : value;

    *floor = (int64_t)bounded - (bounded < (double)(int64_t)bounded);
    *ceiling = *floor + (bounded > (double)*floor);
}

static int64_t bound(int64_t value)
{
    return value > CLOCK_MAX_NS ? CLOCK_MAX_NS : value < -1 ? -1 : value;
}

/* Narrows the window by `time_ns op value`, where the value lies from `floor` to `ceiling`. */
static void want_time(struct wanted *wanted, unsigned char op, int64_t floor, int64_t ceiling)
{
    int64_t from = op == SQLITE_INDEX_CONSTRAINT_GT ? floor + 1 : ceiling;
    int64_t to = op == SQLITE_INDEX_CONSTRAINT_LT ? ceiling - 1 : floor;

    if (op != SQLITE_INDEX_CONSTRAINT_LE && op != SQLITE_INDEX_CONSTRAINT_LT &&
        from > wanted->from_ns)
        wanted->from_ns = from;
    if (op != SQLITE_INDEX_CONSTRAINT_GE && op != SQLITE_INDEX_CONSTRAINT_GT && to < wanted->to_ns)
        wanted->to_ns = to;
}

/* Rows of that id, of which there may be none. */
static void want_id(struct wanted *wanted, int column, int64_t floor, int64_t ceiling)
{
    int64_t *const ids[] = {[EVENTS_COLUMN_RUN] = &wanted->run_id,
                            [EVENTS_COLUMN_PROCESS] = &wanted->process_id,
                            [EVENTS_COLUMN_THREAD] = &wanted->thread_id,
                            [EVENTS_COLUMN_FILE_ID] = &wanted->file_id,
                            [EVENTS_COLUMN_FUNCTION_ID] = &wanted->function_id};

    wanted->nothing = wanted->nothing || floor != ceiling || floor <= 0;
    *ids[column] = floor;
}

/* Narrows *wanted by one condition, as SQLite compares: a number is below any text. */
static void want(struct wanted *wanted, const struct use *use, sqlite3_value *value)
{
    int64_t floor = bound(sqlite3_value_int64(value)), ceiling = floor;

    switch (sqlite3_value_numeric_type(value)) {
    case SQLITE_FLOAT:
        round_real(sqlite3_value_double(value), &floor, &ceiling);
        break;
    case SQLITE_INTEGER:
        break;
    case SQLITE_NULL:
        wanted->nothing = true;
        return;
    default:
        wanted->nothing = wanted->nothing || (use->op != SQLITE_INDEX_CONSTRAINT_LE &&
                                              use->op != SQLITE_INDEX_CONSTRAINT_LT);
        return;
    }
    if (use->column == EVENTS_COLUMN_TIME)
        want_time(wanted, use->op, floor, ceiling);
    else
        want_id(wanted, use->column, floor, ceiling);
}

static bool thread_is_wanted(const struct wanted *wanted, const struct events_thread *thread)
{
    return (wanted->run_id < 0 || wanted->run_id == thread->run->ids.run_id) &&
           (wanted->process_id < 0 || wanted->process_id == thread->ids.process_id) &&
           (wanted->thread_id < 0 || wanted->thread_id == thread->ids.thread_id);
}

static bool row_is_wanted(struct events_cursor *cursor)
{
    const struct events_runs *runs = &table_of(cursor)->runs;
    const struct wanted *wanted = &cursor->wanted;
    struct events_walk *walk = cursor->walk;
    const struct events_frame *frame = walk->frame;

    return (!runs->cut ||
            windows_cover(&runs->threads[cursor->thread].windows, events_walk_time(walk))) &&
           (wanted->function_id < 0 ||
            (frame && events_runs_function_id(runs, frame->code) == wanted->function_id)) &&
           (wanted->file_id < 0 ||
            (frame && events_runs_file_id(runs, frame->code) == wanted->file_id));
}

/* Begins the first wanted thread from cursor->thread on. */
static int begin_thread(struct events_cursor *cursor)
{
    const struct events_runs *runs = &table_of(cursor)->runs;
    const struct events_thread *thread = runs->threads + cursor->thread;

    for (; cursor->thread < runs->thread_count; cursor->thread++, thread++) {
        if (thread_is_wanted(&cursor->wanted, thread))
            break;
    }
    cursor->at_end = cursor->wanted.nothing || cursor->thread == runs->thread_count;
    if (cursor->at_end)
        return SQLITE_OK;
    if (cursor->walk == NULL || cursor->walk->file != thread->run->file) {
        events_walk_free(cursor->walk);
        cursor->walk = events_walk_new(thread->run->file, thread->run->facts);
        if (cursor->walk == NULL)
            return SQLITE_NOMEM;
        events_walk_window(cursor->walk, cursor->wanted.from_ns, cursor->wanted.to_ns);
    }
    events_walk_begin(cursor->walk, thread->thread);
    return SQLITE_OK;
}

static int cursor_next(sqlite3_vtab_cursor *base)
{
    struct events_cursor *cursor = (struct events_cursor *)base;
    struct error err;
    bool passed_over = false;

    while (!cursor->at_end) {
        int status;

        err.text[0] = '\0';
        status = events_walk_next(cursor->walk, &err);
        if (status < 0)
            return table_fail(table_of(cursor), &err);
        if (status > 0 && row_is_wanted(cursor)) {
            cursor->walk->is_stack_news |= passed_over;
            return SQLITE_OK;
        }
        passed_over = status > 0;
        if (passed_over)
            continue;
        cursor->thread++;
        if (begin_thread(cursor) != SQLITE_OK)
            return SQLITE_NOMEM;
    }
    return SQLITE_OK;
}

static int cursor_filter(sqlite3_vtab_cursor *base, int plan, const char *text, int count,
                         sqlite3_value **values)
{
    struct events_cursor *cursor = (struct events_cursor *)base;
    struct error err = {.usage = 0};

    (void)text;
    (void)count;
    if (events_runs_open(&table_of(cursor)->runs, &err) < 0)
        return table_fail(table_of(cursor), &err);
    cursor->wanted = (struct wanted){-1, -1, -1, -1, -1, -1, CLOCK_MAX_NS, false};
    for (int i = 0; i < USE_COUNT; i++) {
        if (plan & 1 << i)
            want(&cursor->wanted, &uses[i], *values++);
    }
    if (cursor->wanted.to_ns < 0 || cursor->wanted.from_ns > cursor->wanted.to_ns)
        cursor->wanted.nothing = true;
    events_walk_free(cursor->walk);
    cursor->walk = NULL;
    cursor->thread = 0;
    if (begin_thread(cursor) != SQLITE_OK)
        return SQLITE_NOMEM;
    return cursor_next(base);
}

static int cursor_eof(sqlite3_vtab_cursor *base)
{
    return ((struct events_cursor *)base)->at_end;
}

static int cursor_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid)
{
    struct events_cursor *cursor = (struct events_cursor *)base;

    *rowid = (sqlite3_int64)((uint64_t)(cursor->thread + 1) << EVENTS_ACTIVATION_BITS |
                             cursor->walk->seq);
    return SQLITE_OK;
}

static int cursor_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column)
{
    struct events_cursor *cursor = (struct events_cursor *)base;
    const struct events_runs *runs = &table_of(cursor)->runs;
    struct error err;

    err.text[0] = '\0'; /* the rest may be anything: this is asked of every column of every row */
    if (events_columns_result(context, column, runs, &runs->threads[cursor->thread], cursor->walk,
                              &err) < 0)
        return table_fail(table_of(cursor), &err);
    return SQLITE_OK;
}

/* ---- registering ---- */

static const sqlite3_module module = {
    .iVersion = 1,
    .xCreate = table_connect,
    .xConnect = table_connect,
    .xBestIndex = table_plan,
    .xDisconnect = table_disconnect,
    .xDestroy = table_disconnect,
    .xOpen = cursor_open,
    .xClose = cursor_close,
    .xFilter = cursor_filter,
    .xNext = cursor_next,
    .xEof = cursor_eof,
    .xColumn = cursor_column,
    .xRowid = cursor_rowid,
};

int events_table_register_module(sqlite3 *db)
{
    return sqlite3_create_module_v2(db, EVENTS_TABLE_MODULE, &module, NULL, NULL);
}

int events_table_register(sqlite3 *db, const char *const *paths, size_t count)
{
    struct events_source *source = malloc(sizeof *source);
    int code;

    if (source == NULL)
        return SQLITE_NOMEM;
    *source = (struct events_source){paths, count};
    code = sqlite3_create_module_v2(db, EVENTS_TABLE_MODULE, &module, source, free);
    if (code != SQLITE_OK)
        return code;
    return sqlite3_exec(db, "CREATE VIRTUAL TABLE temp.events USING " EVENTS_TABLE_MODULE, NULL,
                        NULL, NULL);
}
