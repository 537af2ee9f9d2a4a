/* pprofile.c - the report of pprofile, in its words and columns.
 *
 * For its users and for what reads its output. Times are seconds as %g shows them; percent are of
 * the time that was profiled, wall clock of the thread that asked for it, so several threads can
 * have more than 100 %. Unlike pprofile's own hits, ours are line events alone: no pseudo-hit of
 * each call on the line of its `def`, of each resume on the line of its `yield`, none on line 0.
 */
#include <stdlib.h>
#include <string.h>

#include "formats/catalog.h"
#include "formats/error.h"
#include "formats/format.h"
#include "formats/output.h"
#include "formats/query.h"
#include "formats/text.h"

static const char header[] = "Line #|      Hits|         Time| Time per hit|      %|Source code\n"
                             "------+----------+-------------+-------------+-------+-----------\n";

static const char recognized[] = "Total duration: ";

enum { BLANKS_MAX = 100000 }; /* rows of a file that show neither text nor figures */

struct writer {
    sqlite3 *db;
    const struct format_options *options;
    struct output *out;
    struct error *err;
    const struct catalog *catalog;
    struct text row;
    double total;              /* seconds; what 100 % is */
    struct text typed, script; /* the program as it was named, and its path */
};

/* A file, read line by line, beside the rows of its lines and calls. */
struct listing {
    const struct catalog_file *file;
    const char *at, *end; /* the text that is left */
    struct query lines, calls;
    bool has_line, has_call; /* a row that is not printed yet */
    int64_t last;            /* the last line with a row */
    int blanks;              /* rows so far behind the end of the text that show nothing */
};

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

static double percent(const struct writer *writer, double time)
{
    return writer->total > 0 ? time * 100 / writer->total : 0;
}

/* ---- texts ---- */

/* As it is, tabs included, but nothing that would do something to a terminal. */
static void add_source(struct text *row, const char *bytes, size_t size)
{
    const char *end = bytes + size;

    for (const char *tab; bytes < end; bytes = tab) {
        tab = memchr(bytes, '\t', (size_t)(end - bytes));
        tab = tab == NULL ? end : tab;
        text_add_printable(row, bytes, (size_t)(tab - bytes));
        for (; tab < end && *tab == '\t'; tab++)
            text_add(row, "\t", 1);
    }
}

static bool is_utf8(const char *bytes, size_t size)
{
    const char *at = bytes;

    while (at < bytes + size)
        if (text_next(&at, bytes + size) >= TEXT_BYTE)
            return false;
    return true;
}

static size_t without_blanks(const char *bytes, size_t size)
{
    while (size > 0 &&
           (bytes[size - 1] == ' ' || (bytes[size - 1] >= '\t' && bytes[size - 1] < 14)))
        size--;
    return size;
}

/* The next line of the text; false: there are no more. Lines end as CPython ends them. */
static bool take_line(struct listing *listing, const char **bytes, size_t *size)
{
    const char *at = listing->at, *end = listing->end;

    *bytes = at;
    while (at < end && *at != '\n' && *at != '\r')
        at++;
    *size = (size_t)(at - *bytes);
    if (at == end && *size == 0)
        return false;
    if (at < end)
        at += at + 1 < end && at[0] == '\r' && at[1] == '\n' ? 2 : 1;
    listing->at = at;
    return true;
}

static void flush(struct writer *writer)
{
    struct text *row = &writer->row;

    while (row->size > 0 && without_blanks(row->at, row->size) < row->size)
        row->size--;
    text_add(row, "\n", 1);
    output_write(writer->out, row->at, row->size);
    text_clear(row);
}

/* ---- lines and calls ---- */

/* What functions of file ?1 call, from line to line; SQLite keeps this order of reading. */
#define CALLS_OF_FILE                                                                              \
    "FROM functions f CROSS JOIN edges e ON e.caller_function_id = f.function_id "                 \
    "CROSS JOIN functions c ON c.function_id = e.callee_function_id WHERE f.file_id = ?1 "

/* C functions have no lines: their time is that of the lines that call them. */
static const char lines_sql[] =
    "SELECT l.line, l.hits, l.text, l.self_ns + ifnull(c.ns, 0) FROM lines l "
    "LEFT JOIN (SELECT e.caller_line AS line, SUM(e.self_ns) AS ns " CALLS_OF_FILE
    "AND c.kind = 'c' GROUP BY e.caller_line) c ON c.line = l.line "
    "WHERE l.file_id = ?1 AND (l.hits OR l.self_ns OR l.cumulative_ns) ORDER BY l.line";
/* Of a sampled run calls are not known: as in pprofile, the samples below. */
static const char calls_sql[] =
    "SELECT e.caller_line, SUM(CASE (SELECT mode FROM runs LIMIT 1) WHEN 'sample' THEN "
    "e.cumulative_hits ELSE e.calls + e.resumes END) AS count, SUM(e.cumulative_ns), "
    "e.callee_function_id, c.name " CALLS_OF_FILE "AND c.kind <> 'c' "
    "GROUP BY e.caller_line, e.caller_function_id, e.callee_function_id "
    "HAVING count > 0 ORDER BY e.caller_line, MIN(e.rowid)";
static const char last_sql[] =
    "SELECT MAX(line) FROM (SELECT MAX(line) AS line FROM lines WHERE file_id = ?1 AND (hits OR "
    "self_ns) UNION ALL SELECT MAX(e.caller_line) " CALLS_OF_FILE ")";

static void write_line(struct writer *writer, struct listing *listing, int64_t number,
                       const char *text, size_t size)
{
    bool has_row = listing->has_line && query_int(&listing->lines, 0) == number;
    int64_t hits = has_row ? query_int(&listing->lines, 1) : 0;
    double time = has_row ? seconds(query_int(&listing->lines, 3)) : 0;

    if (has_row && !is_utf8(text, size) && !query_is_null(&listing->lines, 2))
        text = query_text(&listing->lines, 2, &size);
    text_add_format(&writer->row, "%6lld|%10lld|%13g|%13g|%6.2f%%|", (long long)number,
                    (long long)hits, time, hits > 0 ? time / (double)hits : 0,
                    percent(writer, time));
    add_source(&writer->row, text, size);
    flush(writer);
    if (has_row)
        listing->has_line = query_next(&listing->lines);
}

/* pprofile names the program as it was named to it. */
static void add_name(struct writer *writer, const struct catalog_file *file)
{
    const char *name = file->raw_path;

    if (strcmp(text_string(&writer->script), name) == 0)
        name = text_string(&writer->typed);
    text_add_printable(&writer->row, name, strlen(name));
}

static void write_call(struct writer *writer, struct query *call)
{
    const struct catalog_function *callee = catalog_function(writer->catalog, query_int(call, 3));
    int64_t count = query_int(call, 1);
    double time = seconds(query_int(call, 2));
    size_t size;
    const char *name = query_text(call, 4, &size);

    if (callee == NULL)
        return;
    text_add_format(&writer->row, "(call)|%10lld|%13g|%13g|%6.2f%%|# ", (long long)count, time,
                    time / (double)count, percent(writer, time));
    add_name(writer, callee->file);
    text_add_format(&writer->row, ":%lld ", (long long)callee->first_line);
    text_add_printable(&writer->row, name, size);
    flush(writer);
}

/* Rows of lines that are in no text: line 0, and what comes behind its end in another order. */
static void skip_to(struct query *rows, bool *has_row, int64_t number)
{
    while (*has_row && query_int(rows, 0) < number)
        *has_row = query_next(rows);
}

/* Is there nothing to say of that line, behind the end of the text, and was that shown often
 * enough? A program can have what line numbers it likes. */
static bool is_passed_over(struct listing *listing, int64_t number)
{
    bool is_blank = (!listing->has_line || query_int(&listing->lines, 0) > number) &&
                    (!listing->has_call || query_int(&listing->calls, 0) > number);

    return is_blank && ++listing->blanks > BLANKS_MAX;
}

/* The next line with a row, from `number` on. */
static int64_t next_number(const struct listing *listing, int64_t number)
{
    int64_t line = listing->has_line ? query_int(&listing->lines, 0) : INT64_MAX;
    int64_t call = listing->has_call ? query_int(&listing->calls, 0) : INT64_MAX;
    int64_t next = line < call ? line : call;

    return next < number ? number : next;
}

static void write_lines(struct writer *writer, struct listing *listing)
{
    const char *text;
    size_t size;
    bool has_text;

    listing->has_line = query_next(&listing->lines);
    listing->has_call = query_next(&listing->calls);
    for (int64_t number = 1;
         (has_text = take_line(listing, &text, &size)) || number <= listing->last; number++) {
        skip_to(&listing->lines, &listing->has_line, number);
        skip_to(&listing->calls, &listing->has_call, number);
        if (!has_text && is_passed_over(listing, number))
            number = next_number(listing, number);
        if (number > listing->last && !has_text)
            break;
        write_line(writer, listing, number, text, size);
        while (listing->has_call && query_int(&listing->calls, 0) == number) {
            write_call(writer, &listing->calls);
            listing->has_call = query_next(&listing->calls);
        }
    }
}

/* ---- files ---- */

static int find_last(struct writer *writer, struct listing *listing)
{
    struct query query = query_open(writer->db, last_sql, writer->err);

    query_bind(&query, 1, listing->file->id);
    if (query_next(&query))
        listing->last = query_int(&query, 0);
    return query_close(&query);
}

static int write_listing(struct writer *writer, struct listing *listing)
{
    struct query source =
        query_open(writer->db, "SELECT source FROM files WHERE file_id = ?1", writer->err);
    size_t size = 0;
    int status = find_last(writer, listing);

    query_bind(&source, 1, listing->file->id);
    listing->lines = query_open(writer->db, lines_sql, writer->err);
    listing->calls = query_open(writer->db, calls_sql, writer->err);
    query_bind(&listing->lines, 1, listing->file->id);
    query_bind(&listing->calls, 1, listing->file->id);
    if (query_next(&source)) {
        listing->at = query_text(&source, 0, &size);
        listing->end = listing->at + size;
        if (size >= 3 && memcmp(listing->at, "\xEF\xBB\xBF", 3) == 0)
            listing->at += 3;
        write_lines(writer, listing);
    }
    status = query_close(&listing->lines) < 0 ? -1 : status;
    status = query_close(&listing->calls) < 0 ? -1 : status;
    return query_close(&source) < 0 ? -1 : status;
}

/* By time, then hits. */
static const char files_sql[] =
    "SELECT file_id, SUM(time), SUM(hits) FROM (SELECT file_id, self_ns AS time, hits FROM lines "
    "UNION ALL SELECT f.file_id, e.self_ns, 0 FROM edges e JOIN functions f ON f.function_id = "
    "e.caller_function_id JOIN functions c ON c.function_id = e.callee_function_id WHERE c.kind = "
    "'c') GROUP BY file_id HAVING SUM(time) > 0 OR SUM(hits) > 0 ORDER BY 2 DESC, 3 DESC, 1";

static int write_file(struct writer *writer, const struct catalog_file *file, int64_t ns)
{
    struct listing listing = {.file = file, .at = "", .end = ""};

    text_add_string(&writer->row, "File: ");
    add_name(writer, file);
    flush(writer);
    output_format(writer->out, "File duration: %gs (%.2f%%)\n", seconds(ns),
                  percent(writer, seconds(ns)));
    output_text(writer->out, header);
    return write_listing(writer, &listing);
}

static int write_files(struct writer *writer)
{
    struct query query = query_open(writer->db, files_sql, writer->err);
    int status = 0, left = writer->options->top > 0 ? writer->options->top : -1;

    while (status == 0 && left != 0 && query_next(&query)) {
        const struct catalog_file *file = catalog_file(writer->catalog, query_int(&query, 0));

        if (file == NULL || !format_file_matches(writer->options->files, file->raw_path))
            continue;
        status = write_file(writer, file, query_int(&query, 1));
        left--;
    }
    return query_close(&query) < 0 ? -1 : status;
}

/* ---- the head ---- */

/* The time that windows cover if windows are selected, else that of the first main thread. */
static const char total_sql[] =
    "SELECT CASE WHEN (SELECT value FROM meta WHERE key = 'selected_windows') > 0 THEN "
    "(SELECT SUM(ifnull(end_ns, (SELECT MAX(end_ns) FROM threads)) - start_ns) FROM windows) "
    "ELSE (SELECT wall_ns FROM accounts JOIN threads USING (thread_id) ORDER BY is_main DESC, "
    "process_id, thread_id LIMIT 1) END";

/* Where the program is that is the first word of the command. */
static void find_script(struct writer *writer, const char *command, const char *folder)
{
    size_t size = strcspn(command, " ");
    bool is_here = size > 2 && memcmp(command, "./", 2) == 0;

    text_add(&writer->typed, command, size);
    if (command[0] != '/') {
        text_add_string(&writer->script, folder);
        text_add_string(&writer->script, "/");
    }
    text_add(&writer->script, command + 2 * is_here, size - 2 * is_here);
}

/* The arguments as pprofile has them: it prints the module without its -m. */
static int write_head(struct writer *writer)
{
    struct query query = query_open(
        writer->db, "SELECT command, cwd FROM runs ORDER BY run_id LIMIT 1", writer->err);
    uint64_t total = 0;
    size_t size;

    if (query_next(&query)) {
        const char *command = query_text(&query, 0, &size);
        bool is_module = size > 3 && memcmp(command, "-m ", 3) == 0;

        text_add_string(&writer->row, "Command line: ");
        text_add_printable(&writer->row, command + 3 * is_module, size - 3 * is_module);
        flush(writer);
        find_script(writer, command, query_text(&query, 1, &size));
    }
    if (query_close(&query) < 0 || query_number(writer->db, total_sql, &total, writer->err) < 0)
        return -1;
    writer->total = seconds((int64_t)total);
    output_format(writer->out, "%s%gs\n", recognized, writer->total);
    return 0;
}

static int pprofile_write(sqlite3 *db, const struct format_options *options, struct output *out,
                          struct error *err)
{
    struct writer writer = {.db = db, .options = options, .out = out, .err = err};
    struct catalog *catalog = catalog_load(db, err);
    int status = -1;

    if (catalog == NULL)
        return -1;
    writer.catalog = catalog;
    status = write_head(&writer);
    if (status == 0 && writer.total > 0)
        status = write_files(&writer);
    if (status == 0 && (writer.row.failed || writer.typed.failed || writer.script.failed))
        status = error_set(err, "out of memory");
    text_fini(&writer.row);
    text_fini(&writer.typed);
    text_fini(&writer.script);
    catalog_free(catalog);
    return status;
}

static bool pprofile_recognize(const unsigned char *head, int size)
{
    static const char command[] = "Command line: ";
    const unsigned char *line =
        size > (int)sizeof command && memcmp(head, command, sizeof command - 1) == 0
            ? memchr(head, '\n', (size_t)size)
            : head - 1;
    int left = line == NULL ? 0 : size - (int)(line + 1 - head);

    return left >= (int)sizeof recognized - 1 &&
           memcmp(line + 1, recognized, sizeof recognized - 1) == 0;
}

static const char *const suffixes[] = {".pprofile", NULL};

extern const struct format format_pprofile;
const struct format format_pprofile = {
    .name = "pprofile",
    .suffixes = suffixes,
    .summary = "annotated source exactly as pprofile prints it",
    .recognize = pprofile_recognize,
    .write = pprofile_write,
};
