/* samples.c - the classic table of a sampling profiler: thread by thread, a row a line.
 *
 * `cpu_time` is the line's CPU time, `ticks` are the periods that its time stands for, waiting
 * included, `samples` how often it was seen; in parentheses each with what it called. Ticks above
 * samples: it was looked at late. A row whose time is below its own standard error says so. Of a
 * run that was recorded exactly, ticks are milliseconds, and there are no samples.
 */
#include <string.h>

#include "formats/error.h"
#include "formats/format.h"
#include "formats/output.h"
#include "formats/query.h"
#include "formats/text.h"

enum column {
    THREAD,
    NAME,
    THREAD_SAMPLES,
    WALL,
    FILE_NAME,
    PATH,
    LINE,
    FUNCTION,
    CPU,
    CPU_BELOW,
    SELF,
    SELF_BELOW,
    SAMPLES,
    SAMPLES_BELOW,
    ERROR,
};

static const char rows_sql[] =
    "SELECT t.thread_id, t.name, l.samples, a.wall_ns, f.name, f.path, s.line, u.qualname, "
    "s.self_cpu_ns, s.cumulative_cpu_ns, s.self_ns, s.cumulative_ns, s.samples, "
    "s.cumulative_samples, s.error_ns "
    "FROM line_stats s JOIN threads t USING (thread_id) JOIN accounts a USING (thread_id) "
    "JOIN (SELECT thread_id, sum(samples) AS samples FROM line_stats GROUP BY thread_id) l "
    "USING (thread_id) "
    "JOIN functions u USING (function_id) JOIN files f USING (file_id) "
    "WHERE s.cumulative_ns > 0 "
    "ORDER BY t.thread_id, s.self_cpu_ns DESC, s.self_ns DESC, s.cumulative_cpu_ns DESC, "
    "s.cumulative_ns DESC, f.path, s.line, u.function_id";

static void write_thread(struct output *out, struct query *query, struct text *text)
{
    size_t size;
    const char *name = query_text(query, NAME, &size);

    text_clear(text);
    text_add_string(text, "Thread ");
    text_add_printable(text, name, size);
    output_format(out, "%s (%llu samples, %.3f seconds)\n", text_string(text),
                  (unsigned long long)query_sum(query, THREAD_SAMPLES),
                  (double)query_sum(query, WALL) / 1e9);
    output_text(out, "          cpu_time (cum) |         ticks (cum) |       samples (cum) | "
                     "filename:lineno | function\n");
}

static unsigned long long ticks(uint64_t ns, uint64_t period)
{
    return (unsigned long long)((ns + period / 2) / period);
}

static void write_row(struct output *out, struct query *query, struct text *text, uint64_t period)
{
    size_t size;
    const char *file = query_text(query, FILE_NAME, &size);
    bool in_doubt =
        query_sum(query, SELF) > 0 && query_sum(query, SELF) / 2 < query_sum(query, ERROR);

    text_clear(text);
    text_add_printable(text, file, size);
    text_add_format(text, ":%lld | ", (long long)query_int(query, LINE));
    file = query_text(query, FUNCTION, &size);
    text_add_printable(text, file, size);
    output_format(out, "%c%11.3f (%10.3f) | %9llu (%7llu) | %9llu (%7llu) | %s\n",
                  in_doubt ? '~' : ' ', (double)query_sum(query, CPU) / 1e9,
                  (double)query_sum(query, CPU_BELOW) / 1e9, ticks(query_sum(query, SELF), period),
                  ticks(query_sum(query, SELF_BELOW), period),
                  (unsigned long long)query_sum(query, SAMPLES),
                  (unsigned long long)query_sum(query, SAMPLES_BELOW), text_string(text));
}

static bool is_shown(struct query *query, const struct format_options *options, int rows)
{
    size_t size;

    return (options->top == 0 || rows < options->top) &&
           format_file_matches(options->files, query_text(query, PATH, &size));
}

static int write_rows(sqlite3 *db, const struct format_options *options, uint64_t period,
                      struct output *out, struct error *err)
{
    struct query query = query_open(db, rows_sql, err);
    struct text text = {0};
    int64_t thread = 0;
    int rows = 0;
    bool failed;

    while (query_next(&query)) {
        if (query_int(&query, THREAD) != thread) {
            output_text(out, thread != 0 ? "\n" : "");
            write_thread(out, &query, &text);
            rows = 0;
        }
        thread = query_int(&query, THREAD);
        if (is_shown(&query, options, rows)) {
            write_row(out, &query, &text, period);
            rows++;
        }
    }
    failed = text.failed;
    text_fini(&text);
    if (query_close(&query) < 0)
        return -1;
    return failed ? error_set(err, "out of memory") : 0;
}

static int samples_write(sqlite3 *db, const struct format_options *options, struct output *out,
                         struct error *err)
{
    uint64_t period = 0;

    if (query_number(db, "SELECT min(period_ns) FROM samplers", &period, err) < 0)
        return -1;
    return write_rows(db, options, period != 0 ? period : 1000000, out, err);
}

static bool samples_recognize(const unsigned char *head, int size)
{
    return size >= 7 && memcmp(head, "Thread ", 7) == 0;
}

static const char *const suffixes[] = {NULL};

extern const struct format format_samples;
const struct format format_samples = {
    .name = "samples",
    .suffixes = suffixes,
    .summary = "of a sampled run, thread by thread: cpu_time, ticks, samples",
    .recognize = samples_recognize,
    .write = samples_write,
};
