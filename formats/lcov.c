/* lcov.c - which lines were executed, and how often: what genhtml, editors and coverage services
 * read.
 *
 * The records are geninfo(1)'s. A line counts if it has instructions of its own, be it in a
 * function that was never called; what was never compiled (a file that was not imported) is not
 * there. Files are the program's own, unless --file says otherwise; text that is in no file cannot
 * be shown by anybody. Functions are those that have names.
 */
#include <string.h>

#include "formats/catalog.h"
#include "formats/error.h"
#include "formats/format.h"
#include "formats/output.h"
#include "formats/query.h"
#include "formats/text.h"

/* Functions of one name, such as a property's, have their lines behind them: geninfo's names are
 * unique in a file. */
static const char functions_sql[] =
    "SELECT file_id, first_line, qualname, sum(calls), "
    "count(*) OVER (PARTITION BY file_id, qualname) "
    "FROM functions WHERE kind IN ('function', 'generator') AND name NOT LIKE '<%' "
    "GROUP BY file_id, first_line, qualname ORDER BY file_id, first_line, qualname";

static const char lines_sql[] =
    "SELECT file_id, line, hits FROM lines WHERE executable AND line > 0 ORDER BY file_id, line";

/* Rows in the order of their files. */
struct rows {
    struct query query;
    bool has_row;
};

struct writer {
    const struct catalog *catalog;
    const struct format_options *options;
    struct output *out;
    struct rows functions, lines;
    struct text name;
};

static void next_row(struct rows *rows)
{
    rows->has_row = query_next(&rows->query);
}

static struct rows open_rows(sqlite3 *db, const char *sql, struct error *err)
{
    struct rows rows = {.query = query_open(db, sql, err)};

    next_row(&rows);
    return rows;
}

/* The next row of that file; those of files before it are passed over. */
static bool row_of(struct rows *rows, int64_t file_id)
{
    while (rows->has_row && query_int(&rows->query, 0) < file_id)
        next_row(rows);
    return rows->has_row && query_int(&rows->query, 0) == file_id;
}

static const char *function_name(struct writer *writer)
{
    struct query *query = &writer->functions.query;
    size_t size;
    const char *name = query_text(query, 2, &size);

    text_clear(&writer->name);
    text_add_printable(&writer->name, name, size);
    if (query_int(query, 4) > 1)
        text_add_format(&writer->name, ":%lld", (long long)query_int(query, 1));
    return text_string(&writer->name);
}

static void write_functions(struct writer *writer, int64_t file_id)
{
    unsigned long long found = 0, hit = 0;

    for (; row_of(&writer->functions, file_id); next_row(&writer->functions)) {
        const char *name = function_name(writer);
        unsigned long long calls = query_sum(&writer->functions.query, 3);

        output_format(writer->out, "FN:%lld,%s\nFNDA:%llu,%s\n",
                      (long long)query_int(&writer->functions.query, 1), name, calls, name);
        found++;
        hit += calls > 0;
    }
    output_format(writer->out, "FNF:%llu\nFNH:%llu\n", found, hit);
}

static void write_lines(struct writer *writer, int64_t file_id)
{
    unsigned long long found = 0, hit = 0;

    for (; row_of(&writer->lines, file_id); next_row(&writer->lines)) {
        unsigned long long hits = query_sum(&writer->lines.query, 2);

        output_format(writer->out, "DA:%lld,%llu\n", (long long)query_int(&writer->lines.query, 1),
                      hits);
        found++;
        hit += hits > 0;
    }
    output_format(writer->out, "LF:%llu\nLH:%llu\n", found, hit);
}

static bool is_shown(const struct writer *writer, const struct catalog_file *file)
{
    if (file->raw_path[0] == '<')
        return false;
    return writer->options->files != NULL
               ? format_file_matches(writer->options->files, file->raw_path)
               : file->origin == CATALOG_PROGRAM;
}

static void write_file(struct writer *writer, const struct catalog_file *file)
{
    if (!is_shown(writer, file) || !row_of(&writer->lines, file->id))
        return;
    output_format(writer->out, "TN:\nSF:%s\n", file->path);
    write_functions(writer, file->id);
    write_lines(writer, file->id);
    output_text(writer->out, "end_of_record\n");
}

static int write_files(struct writer *writer, sqlite3 *db, struct error *err)
{
    int status;

    writer->functions = open_rows(db, functions_sql, err);
    writer->lines = open_rows(db, lines_sql, err);
    for (size_t i = 0; i < writer->catalog->file_count; i++)
        write_file(writer, &writer->catalog->files[i]);
    status = query_close(&writer->functions.query);
    if (query_close(&writer->lines.query) < 0)
        status = -1;
    if (status == 0 && writer->name.failed)
        status = error_set(err, "out of memory");
    text_fini(&writer->name);
    return status;
}

static int lcov_write(sqlite3 *db, const struct format_options *options, struct output *out,
                      struct error *err)
{
    bool sampled;
    struct catalog *catalog;
    int status;

    if (query_is_sampled(db, &sampled, err) < 0)
        return -1;
    if (sampled)
        return error_set(err, "samples do not tell which lines were executed; record without "
                              "--sample");
    catalog = catalog_load(db, err);
    if (catalog == NULL)
        return -1;
    status =
        write_files(&(struct writer){.catalog = catalog, .options = options, .out = out}, db, err);
    catalog_free(catalog);
    return status;
}

static bool lcov_recognize(const unsigned char *head, int size)
{
    return size >= 3 && (memcmp(head, "TN:", 3) == 0 || memcmp(head, "SF:", 3) == 0);
}

static const char *const suffixes[] = {".info", ".lcov", NULL};

extern const struct format format_lcov;
const struct format format_lcov = {
    .name = "lcov",
    .suffixes = suffixes,
    .summary = "executed lines, for genhtml and coverage services",
    .recognize = lcov_recognize,
    .write = lcov_write,
};
