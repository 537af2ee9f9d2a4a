#include "analyzer/statement_tables.h"

#include <math.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/query.h"

/* A table with lines. */
struct table {
    const char *name;
    const char *line;  /* its column of lines */
    const char *from;  /* where it comes from: t, and f.file_id for the file of the line */
    const char *inner; /* rows of inner_hits, as i; NULL: it has no hits of lines */
    const char *group; /* what rows are apart by, beside the line */
    const char *index;
};

#define INNER_OF_FILES                                                                             \
    "LEFT JOIN (SELECT file_id, line, SUM(inner_hits) AS inner_hits FROM main.statement_stats "    \
    "JOIN main.functions USING (function_id) GROUP BY file_id, line) i "                           \
    "ON i.file_id = t.file_id AND i.line = t.line"
#define INNER_OF_FUNCTIONS                                                                         \
    "LEFT JOIN main.statement_stats i ON i.thread_id = t.thread_id AND "                           \
    "i.function_id = t.function_id AND i.line = t.line"

static const struct table tables[] = {
    {"lines", "line", "main.lines t JOIN main.files f USING (file_id)", INNER_OF_FILES, "t.file_id",
     "file_id, line"},
    {"line_stats", "line", "main.line_stats t JOIN main.functions f USING (function_id)",
     INNER_OF_FUNCTIONS, "t.thread_id, t.function_id", "function_id, line"},
    {"edges", "caller_line",
     "main.edges t LEFT JOIN main.functions f ON f.function_id = t.caller_function_id", NULL,
     "t.caller_function_id, t.callee_function_id", "caller_function_id, caller_line"},
    {"edge_stats", "caller_line",
     "main.edge_stats t LEFT JOIN main.functions f ON f.function_id = t.caller_function_id", NULL,
     "t.thread_id, t.caller_function_id, t.callee_function_id", "caller_function_id, caller_line"},
    {"context_lines", "line",
     "main.context_lines t JOIN main.contexts c USING (context_id) "
     "LEFT JOIN main.functions f USING (function_id)",
     NULL, "t.context_id", "context_id"},
    {"context_edges", "caller_line",
     "main.context_edges t JOIN main.contexts c ON c.context_id = t.caller_context_id "
     "LEFT JOIN main.functions f ON f.function_id = c.function_id",
     NULL, "t.context_id, t.caller_context_id", "context_id"},
};

/* What becomes of each column, whatever columns there are: what names a thing is that of the first
 * line, all else is added up. Parameters: the table, its column of lines, whether it has hits of
 * lines. */
static const char columns_sql[] =
    "SELECT group_concat(CASE "
    "WHEN name = ?2 THEN 'coalesce(s.statement_line, t.' || name || ')' "
    "WHEN name = 'hits' AND ?3 THEN 'SUM(t.hits - coalesce(i.inner_hits, 0))' "
    "WHEN name = 'executable' THEN 'SUM(t.executable) > 0' "
    "WHEN name = 'error_ns' THEN 'error_of_sum(t.error_ns)' "
    "WHEN name LIKE '%!_id' ESCAPE '!' OR type = 'TEXT' OR name = 'callee_line' THEN 't.' || name "
    "ELSE 'SUM(t.' || name || ')' END || ' AS ' || name, ', ') "
    "FROM pragma_table_info(?1, 'main')";

/* --- error_of_sum(): the standard error of what is added up --- */

static void error_step(sqlite3_context *context, int count, sqlite3_value **values)
{
    double *squares = sqlite3_aggregate_context(context, sizeof *squares);
    double error = sqlite3_value_double(values[0]);

    (void)count;
    if (squares != NULL)
        *squares += error * error;
}

static void error_final(sqlite3_context *context)
{
    const double *squares = sqlite3_aggregate_context(context, sizeof *squares);
    double error = squares != NULL ? sqrt(*squares) : 0;

    sqlite3_result_int64(context, error < 9e18 ? (int64_t)(error + 0.5) : INT64_MAX);
}

static int register_error(sqlite3 *db, struct error *err)
{
    int code = sqlite3_create_function_v2(db, "error_of_sum", 1,
                                          SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY,
                                          NULL, NULL, error_step, error_final, NULL);

    return code == SQLITE_OK ? 0 : error_set(err, "--statements: %s", sqlite3_errmsg(db));
}

/* --- The tables --- */

static int run(sqlite3 *db, char *sql, struct error *err)
{
    int code = sql == NULL ? SQLITE_NOMEM : sqlite3_exec(db, sql, NULL, NULL, NULL);

    sqlite3_free(sql);
    return code == SQLITE_OK ? 0 : error_set(err, "--statements: %s", sqlite3_errmsg(db));
}

/* MIN() makes the columns that are not summed those of the first line. */
static int make(sqlite3 *db, const struct table *table, const char *columns, struct error *err)
{
    return run(db,
               sqlite3_mprintf("CREATE TEMP TABLE %s AS SELECT %s, MIN(t.%s) AS first_line FROM %s "
                               "LEFT JOIN main.statement_lines s ON s.file_id = f.file_id AND "
                               "s.line = t.%s %s GROUP BY %s, coalesce(s.statement_line, t.%s); "
                               "CREATE INDEX temp.%s_by_line ON %s (%s)",
                               table->name, columns, table->line, table->from, table->line,
                               table->inner != NULL ? table->inner : "", table->group, table->line,
                               table->name, table->name, table->index),
               err);
}

static int make_table(sqlite3 *db, const struct table *table, struct error *err)
{
    struct query query = query_open(db, columns_sql, err);
    int status = 0;
    size_t size;

    query_bind_text(&query, 1, table->name);
    query_bind_text(&query, 2, table->line);
    query_bind(&query, 3, table->inner != NULL);
    if (query_next(&query))
        status = make(db, table, query_text(&query, 0, &size), err);
    return query_close(&query) < 0 ? -1 : status;
}

int statement_tables_make(sqlite3 *db, struct error *err)
{
    uint64_t known;

    if (query_number(db, "SELECT count(*) FROM main.meta WHERE key = 'statements'", &known, err) <
        0)
        return -1;
    if (known == 0)
        return error_set(err, "the database was analyzed without --statements: it needs the trace");
    if (register_error(db, err) < 0)
        return -1;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        if (make_table(db, &tables[i], err) < 0)
            return -1;
    return 0;
}
