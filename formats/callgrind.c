/* callgrind.c - for callgrind_annotate, KCachegrind and QCachegrind.
 *
 * What their readers need, learned by reading and running them: `fl=` before every `fn=` and `cfi=`
 * before every `cfn=` (the two readers disagree on what an omitted one means); function names that
 * are unique in the whole program (KCachegrind keeps them apart by name and base name of the file
 * only); relative paths; whole numbers; never `calls=0` (the cost behind it would be self cost);
 * one part a file. A call whose callee was already on the stack brings no inclusive cost, so that
 * sums of calls are right under recursion and no cycles appear.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/archive_names.h"
#include "formats/catalog.h"
#include "formats/error.h"
#include "formats/format.h"
#include "formats/output.h"
#include "formats/query.h"
#include "formats/text.h"

struct cost {
    uint64_t ns;
    uint64_t cpu_ns;
    uint64_t hits;
};

/* Self cost of a line, or inclusive cost of the calls from it. */
struct row {
    int64_t function; /* function_id; for calls the caller's, 0 from outside */
    int64_t line;
    const struct catalog_function *callee; /* NULL: self cost */
    uint64_t calls;
    struct cost cost;
};

struct rows {
    struct row *at; /* owned; ascending by function, then line */
    size_t count;
    size_t room;
};

struct writer {
    sqlite3 *db;
    struct output *out;
    struct error *err;
    const struct catalog *catalog;
    const struct archive_names *names; /* NULL: recorded paths */
    unsigned char *named_files;        /* is the file's, the function's name written already? */
    unsigned char *named_functions;
    const struct catalog_function **order; /* as they are written */
};

/* One file: all threads, or one. */
struct part {
    int64_t thread_id; /* 0: all */
    struct rows lines;
    struct rows calls;
    struct cost outside;
    struct cost total;
};

/* ---- reading ---- */

static void add_cost(struct cost *sum, const struct cost *cost)
{
    sum->ns += cost->ns;
    sum->cpu_ns += cost->cpu_ns;
    sum->hits += cost->hits;
}

static struct row *new_row(struct rows *rows)
{
    if (rows->count == rows->room) {
        size_t room = rows->room == 0 ? 1024 : rows->room * 2;
        struct row *at =
            room > SIZE_MAX / 2 / sizeof *at ? NULL : realloc(rows->at, room * sizeof *at);

        if (at == NULL)
            return NULL;
        rows->at = at;
        rows->room = room;
    }
    return &rows->at[rows->count++];
}

/* Of all threads, and of the one that parameter 1 names: by an index then, there may be many. */
#define ALL_OR_ONE(before, condition, after)                                                       \
    {                                                                                              \
        before after, before condition after                                                       \
    }

/* Both give: function, line, callee, calls, ns, cpu_ns, hits. */
static const char *const lines_sql[] = ALL_OR_ONE(
    "SELECT function_id, line, NULL, 0, SUM(self_ns), SUM(self_cpu_ns), SUM(hits) FROM line_stats "
    "WHERE function_id NOT IN (SELECT function_id FROM functions WHERE kind = 'outside') ",
    "AND thread_id = ?1 ", "GROUP BY function_id, line ORDER BY function_id, line");
static const char *const calls_sql[] =
    ALL_OR_ONE("SELECT caller_function_id, caller_line, callee_function_id, "
               "SUM(CASE (SELECT mode FROM runs LIMIT 1) WHEN 'sample' THEN cumulative_hits "
               "ELSE calls + resumes END), "
               "SUM(outer_cumulative_ns), SUM(outer_cumulative_cpu_ns), SUM(outer_cumulative_hits) "
               "FROM edge_stats ",
               "WHERE thread_id = ?1 ",
               "GROUP BY caller_function_id, caller_line, callee_function_id "
               "ORDER BY caller_function_id, caller_line, callee_function_id");
static const char *const outside_sql[] =
    ALL_OR_ONE("SELECT SUM(self_ns), SUM(self_cpu_ns) FROM contexts WHERE parent_id IS NULL ",
               "AND thread_id = ?1", "");

static struct query open_part(const struct writer *writer, const char *const *sql,
                              int64_t thread_id)
{
    struct query query = query_open(writer->db, sql[thread_id != 0], writer->err);

    if (thread_id != 0)
        query_bind(&query, 1, thread_id);
    return query;
}

static int load_row(const struct writer *writer, struct rows *rows, struct query *query,
                    bool is_call)
{
    const struct catalog_function *callee = catalog_function(writer->catalog, query_int(query, 2));
    struct row *row;

    if (is_call && callee == NULL)
        return error_set(writer->err, "the database is damaged: an edge leads to no function");
    row = new_row(rows);
    if (row == NULL)
        return error_set(writer->err, "out of memory");
    *row = (struct row){
        .function = query_int(query, 0),
        .line = query_int(query, 1),
        .callee = callee,
        .calls = query_sum(query, 3),
        .cost = {query_sum(query, 4), query_sum(query, 5), query_sum(query, 6)},
    };
    return 0;
}

static int load_rows(const struct writer *writer, int64_t thread_id, const char *const *sql,
                     struct rows *rows)
{
    struct query query = open_part(writer, sql, thread_id);
    int status = 0;

    while (status == 0 && query_next(&query))
        status = load_row(writer, rows, &query, sql == calls_sql);
    return query_close(&query) < 0 ? -1 : status;
}

static int load_part(const struct writer *writer, struct part *part)
{
    struct query query;

    if (load_rows(writer, part->thread_id, lines_sql, &part->lines) < 0 ||
        load_rows(writer, part->thread_id, calls_sql, &part->calls) < 0)
        return -1;
    query = open_part(writer, outside_sql, part->thread_id);
    if (query_next(&query))
        part->outside = (struct cost){query_sum(&query, 0), query_sum(&query, 1), 0};
    part->total = part->outside;
    for (size_t i = 0; i < part->lines.count; i++)
        add_cost(&part->total, &part->lines.at[i].cost);
    return query_close(&query);
}

/* ---- writing ---- */

static const char *file_name(const struct writer *writer, const struct catalog_file *file)
{
    const char *name = writer->names != NULL ? archive_names_find(writer->names, file->id) : NULL;

    return name != NULL ? name : file->path;
}

/* `prefix` comes before the name where it is written out. */
static void write_name(struct output *out, const char *key, size_t number, unsigned char *named,
                       const char *prefix, const char *name)
{
    output_text(out, key);
    output_text(out, "=(");
    output_uint(out, number);
    output_text(out, ")");
    if (!*named) {
        output_text(out, " ");
        output_text(out, prefix);
        output_text(out, name);
        *named = 1;
    }
    output_text(out, "\n");
}

/* callgrind_annotate cuts its working folder from the files of functions but not from those of
 * callees, and so would take one function for two: an absolute path begins with two slashes, which
 * it leaves alone. */
static void write_file_name(const struct writer *writer, const char *key,
                            const struct catalog_file *file)
{
    size_t index = (size_t)(file - writer->catalog->files);
    const char *name = file_name(writer, file);

    write_name(writer->out, key, index + 1, &writer->named_files[index], name[0] == '/' ? "/" : "",
               name);
}

static void write_function_name(const struct writer *writer, const char *key,
                                const struct catalog_function *function)
{
    size_t index = (size_t)(function - writer->catalog->functions);

    write_name(writer->out, key, index + 1, &writer->named_functions[index], "", function->unique);
}

static void write_cost(struct output *out, int64_t line, const struct cost *cost)
{
    output_uint(out, line > 0 ? (uint64_t)line : 0);
    output_text(out, " ");
    output_uint(out, cost->ns);
    output_text(out, " ");
    output_uint(out, cost->cpu_ns);
    output_text(out, " ");
    output_uint(out, cost->hits);
    output_text(out, "\n");
}

static void write_call(const struct writer *writer, const struct row *row)
{
    const struct catalog_function *callee = row->callee;

    write_file_name(writer, "cfi", callee->file);
    write_function_name(writer, "cfn", callee);
    output_text(writer->out, "calls=");
    output_uint(writer->out,
                row->calls > 0 ? row->calls : 1); /* open before recording began, or sampled */
    output_text(writer->out, " ");
    output_uint(writer->out, callee->first_line > 0 ? (uint64_t)callee->first_line : 0);
    output_text(writer->out, "\n");
    write_cost(writer->out, row->line, &row->cost);
}

/* The rows of one function: *count from the result on, which is NULL if there are none. */
static const struct row *rows_of(const struct rows *rows, int64_t function, size_t *count)
{
    size_t low = 0, high = rows->count, end;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (rows->at[middle].function < function)
            low = middle + 1;
        else
            high = middle;
    }
    for (end = low; end < rows->count && rows->at[end].function == function; end++)
        ;
    *count = end - low;
    return *count ? rows->at + low : NULL;
}

static void write_function(const struct writer *writer, const struct part *part,
                           const struct catalog_function *function)
{
    size_t line_count, call_count;
    const struct row *lines = rows_of(&part->lines, function->id, &line_count);
    const struct row *calls = rows_of(&part->calls, function->id, &call_count);

    if (function->is_outside || line_count + call_count == 0)
        return;
    output_text(writer->out, "\n");
    write_file_name(writer, "fl", function->file);
    write_function_name(writer, "fn", function);
    for (size_t i = 0; i < line_count; i++)
        write_cost(writer->out, lines[i].line, &lines[i].cost);
    for (size_t i = 0; i < call_count; i++)
        write_call(writer, &calls[i]);
}

/* What calls the threads' first functions, with the time in which nothing recorded ran. */
static void write_outside(const struct writer *writer, const struct part *part)
{
    size_t count;
    const struct row *calls = rows_of(&part->calls, 0, &count);

    if (count == 0 && part->outside.ns == 0)
        return;
    output_format(writer->out, "\nfl=(%zu) ???\nfn=(%zu) <outside>\n",
                  writer->catalog->file_count + 1, writer->catalog->function_count + 1);
    write_cost(writer->out, 0, &part->outside);
    for (size_t i = 0; i < count; i++)
        write_call(writer, &calls[i]);
}

/* ---- the header ---- */

static void write_field(struct output *out, const char *key, struct text *text, struct query *query,
                        int column)
{
    size_t size;
    const char *bytes = query_text(query, column, &size);

    text_clear(text);
    text_add_printable(text, bytes, size);
    output_format(out, "%s%s\n", key, text_string(text));
}

static int write_run(const struct writer *writer, int64_t thread_id)
{
    struct query query = query_open(
        writer->db,
        "SELECT (SELECT value FROM meta WHERE key = 'pyanalyze_version'), p.pid, r.command, "
        "t.number, t.name "
        "FROM runs r JOIN processes p ON p.run_id = r.run_id LEFT JOIN threads t ON t.process_id = "
        "p.process_id "
        "AND t.thread_id = ?1 WHERE ?1 = 0 OR t.thread_id = ?1 ORDER BY p.process_id LIMIT 1",
        writer->err);
    struct text text = {0};

    query_bind(&query, 1, thread_id);
    if (query_next(&query)) {
        write_field(writer->out, "creator: pyanalyze ", &text, &query, 0);
        write_field(writer->out, "pid: ", &text, &query, 1);
        write_field(writer->out, "cmd: ", &text, &query, 2);
        output_text(writer->out, "part: 1\n");
        if (thread_id != 0) {
            write_field(writer->out, "thread: ", &text, &query, 3);
            write_field(writer->out, "desc: Thread: ", &text, &query, 4);
        }
    }
    if (text.failed)
        error_set(writer->err, "out of memory");
    query.failed |= text.failed;
    text_fini(&text);
    return query_close(&query);
}

static void write_total(struct output *out, const char *key, const struct cost *total)
{
    output_text(out, key);
    output_uint(out, total->ns);
    output_text(out, " ");
    output_uint(out, total->cpu_ns);
    output_text(out, " ");
    output_uint(out, total->hits);
    output_text(out, "\n");
}

static int write_sampling(const struct writer *writer)
{
    bool sampled;

    if (query_is_sampled(writer->db, &sampled, writer->err) < 0)
        return -1;
    if (sampled)
        output_text(writer->out, "desc: Sampled: times are estimates, calls are not known: those "
                                 "counted are the samples below\n");
    output_format(writer->out,
                  "positions: line\n"
                  "event: ns : Time (ns)\n"
                  "event: cpu_ns : CPU time (ns)\n"
                  "event: hits : %s\n"
                  "event: wait_ns = ns - cpu_ns : Waiting (ns)\n"
                  "events: ns cpu_ns hits\n",
                  sampled ? "Samples" : "Line executions");
    return 0;
}

/* The first line is how KCachegrind knows the file; `cmd` and `event` must come before `events`. */
static int write_header(const struct writer *writer, const struct part *part)
{
    output_text(writer->out, "# callgrind format\nversion: 1\n");
    if (write_run(writer, part->thread_id) < 0 || write_sampling(writer) < 0)
        return -1;
    write_total(writer->out, "summary: ", &part->total);
    return 0;
}

/* ---- the whole ---- */

static int write_part(void *context, int64_t thread_id)
{
    const struct writer *writer = context;
    struct part part = {.thread_id = thread_id};
    int status = load_part(writer, &part);

    memset(writer->named_files, 0, writer->catalog->file_count + 1);
    memset(writer->named_functions, 0, writer->catalog->function_count + 1);
    if (status == 0)
        status = write_header(writer, &part);
    if (status == 0) {
        write_outside(writer, &part);
        for (size_t i = 0; i < writer->catalog->function_count; i++)
            write_function(writer, &part, writer->order[i]);
        write_total(writer->out, "\ntotals: ", &part.total);
    }
    free(part.lines.at);
    free(part.calls.at);
    return status;
}

static int by_place(const void *a, const void *b)
{
    const struct catalog_function *left = *(const struct catalog_function *const *)a;
    const struct catalog_function *right = *(const struct catalog_function *const *)b;
    int order = strcmp(left->file->path, right->file->path);

    if (order == 0)
        order = (left->file->id > right->file->id) - (left->file->id < right->file->id);
    if (order == 0)
        order = (left->first_line > right->first_line) - (left->first_line < right->first_line);
    return order != 0 ? order : strcmp(left->unique, right->unique);
}

static int prepare(struct writer *writer)
{
    size_t count = writer->catalog->function_count;

    writer->named_files = calloc(writer->catalog->file_count + 1, 1);
    writer->named_functions = calloc(count + 1, 1);
    writer->order = calloc(count + 1, sizeof(struct catalog_function *));
    if (writer->named_files == NULL || writer->named_functions == NULL || writer->order == NULL)
        return error_set(writer->err, "out of memory");
    for (size_t i = 0; i < count; i++)
        writer->order[i] = &writer->catalog->functions[i];
    qsort(writer->order, count, sizeof(struct catalog_function *), by_place);
    return 0;
}

static int callgrind_write(sqlite3 *db, const struct format_options *options, struct output *out,
                           struct error *err)
{
    struct catalog *catalog = catalog_load(db, err);
    struct archive_names *names = NULL;
    struct writer writer = {.db = db, .out = out, .err = err, .catalog = catalog};
    int status = -1;

    if (catalog == NULL)
        goto done;
    if (options->zipped) {
        names = archive_names_new(catalog, err);
        if (names == NULL)
            goto done;
        writer.names = names;
    }
    if (prepare(&writer) == 0)
        status = options->per_thread ? format_write_threads(db, out, write_part, &writer, err)
                                     : write_part(&writer, 0);

done:
    free(writer.named_files);
    free(writer.named_functions);
    free(writer.order);
    archive_names_free(names);
    catalog_free(catalog);
    return status;
}

static bool callgrind_recognize(const unsigned char *head, int size)
{
    static const char first[] = "# callgrind format";

    return size >= (int)sizeof first - 1 && memcmp(head, first, sizeof first - 1) == 0;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

static void callgrind_advise(const struct format_options *options, const char *path, char *text,
                             size_t size)
{
    format_advise_whole(options, path, text, size);
    if (text[0] != '\0' || path == NULL || options->zip_path == NULL)
        return;
    snprintf(text, size,
             "to see the sources: unzip -d sources %s && cp %s%s sources && cd sources && "
             "kcachegrind %s",
             options->zip_path, path, options->per_thread ? "*" : "", base_name(path));
}

static const char *const suffixes[] = {"callgrind.out.", "cachegrind.out.", ".callgrind", NULL};

extern const struct format format_callgrind;
const struct format format_callgrind = {
    .name = "callgrind",
    .suffixes = suffixes,
    .summary = "for kcachegrind and callgrind_annotate",
    .recognize = callgrind_recognize,
    .write = callgrind_write,
    .advise = callgrind_advise,
};
