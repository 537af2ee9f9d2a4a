#include "formats/annotate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/catalog.h"
#include "formats/error.h"
#include "formats/format.h"
#include "formats/output.h"
#include "formats/query.h"

enum { AROUND = 1, FOLD_MIN = 4 };

static const double fold_percent = 0.5;

/* ---- reading ---- */

struct line {
    int64_t number;
    const char *text; /* NULL: not known */
    size_t size;
    struct annotate_figures figures;
    bool executable;
    bool is_kept; /* printed, not folded */
};

struct listing {
    struct line *lines; /* owned; ascending */
    size_t count;
    size_t room;
    struct pool pool; /* texts that are not in the source as it is */
};

static struct line *add_line(struct listing *listing)
{
    if (listing->lines == NULL || listing->count == listing->room) {
        size_t room = listing->room == 0 ? 256 : listing->room * 2;
        struct line *lines = realloc(listing->lines, room * sizeof *lines);

        if (lines == NULL)
            return NULL;
        listing->lines = lines;
        listing->room = room;
    }
    listing->lines[listing->count] = (struct line){0};
    return &listing->lines[listing->count++];
}

/* Lines end as CPython ends them: \n, \r or \r\n, and nothing else. */
static int split_source(struct listing *listing, const char *bytes, size_t size)
{
    const char *end = bytes + size;

    if (size >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0)
        bytes += 3;
    while (bytes < end) {
        struct line *line = add_line(listing);
        const char *at = bytes;

        if (line == NULL)
            return -1;
        while (at < end && *at != '\n' && *at != '\r')
            at++;
        line->number = (int64_t)listing->count;
        line->text = bytes;
        line->size = (size_t)(at - bytes);
        if (at < end)
            at += at + 1 < end && at[0] == '\r' && at[1] == '\n' ? 2 : 1;
        bytes = at;
    }
    return 0;
}

static int by_number(const void *a, const void *b)
{
    const struct line *left = a, *right = b;

    return (left->number > right->number) - (left->number < right->number);
}

/* The line of that number; one outside the text is added at the end, `text_lines` being the size of
 * the text. */
static struct line *line_of(struct listing *listing, int64_t number, size_t text_lines)
{
    struct line *line;

    if (number >= 1 && (uint64_t)number <= text_lines)
        return &listing->lines[number - 1];
    line = add_line(listing);
    if (line != NULL)
        line->number = number;
    return line;
}

static bool is_utf8(const struct line *line)
{
    const char *at = line->text;

    if (at == NULL)
        return false;
    while (at < line->text + line->size)
        if (text_next(&at, line->text + line->size) >= TEXT_BYTE)
            return false;
    return true;
}

/* A source in another encoding: the database has its executable lines in UTF-8. */
static int take_text(struct listing *listing, struct line *line, struct query *query, int column)
{
    size_t size;
    const char *bytes = query_text(query, column, &size);

    if (query_is_null(query, column))
        return 0;
    line->text = pool_string(&listing->pool, bytes, size);
    line->size = size;
    return line->text == NULL ? -1 : 0;
}

static int load_lines(struct annotate *report, struct listing *listing,
                      const struct catalog_file *file)
{
    struct query query =
        query_open(report->db,
                   "SELECT line, hits, self_ns, self_cpu_ns, cumulative_ns, cumulative_cpu_ns, "
                   "executable, text, error_ns FROM lines WHERE file_id = ?1 ORDER BY line",
                   report->err);
    size_t text_lines = listing->count;
    int status = 0;

    query_bind(&query, 1, file->id);
    while (status == 0 && query_next(&query)) {
        struct line *line = line_of(listing, query_int(&query, 0), text_lines);

        if (line == NULL) {
            status = error_set(report->err, "out of memory");
            continue;
        }
        line->executable = query_int(&query, 6) != 0;
        if (!is_utf8(line) && take_text(listing, line, &query, 7) < 0)
            status = error_set(report->err, "out of memory");
        line->figures = (struct annotate_figures){query_sum(&query, 1), query_sum(&query, 2),
                                                  query_sum(&query, 3), query_sum(&query, 4),
                                                  query_sum(&query, 5), query_sum(&query, 8)};
    }
    if (listing->lines != NULL)
        qsort(listing->lines, listing->count, sizeof *listing->lines, by_number);
    return query_close(&query) < 0 ? -1 : status;
}

static int load_source(struct annotate *report, struct listing *listing, struct query *query,
                       const struct catalog_file *file)
{
    const char *bytes;

    query_bind(query, 1, file->id);
    if (!query_next(query))
        return 0;
    bytes = sqlite3_column_blob(query->statement, 0);
    if (bytes != NULL &&
        split_source(listing, bytes, (size_t)sqlite3_column_bytes(query->statement, 0)) < 0)
        return error_set(report->err, "out of memory");
    return 0;
}

/* ---- printing ---- */

static void print_line(struct annotate *report, const struct line *line)
{
    const struct annotate_figures *f = &line->figures;
    bool has_time = f->ns + f->cumulative_ns + f->hits > 0;
    enum annotate_column column = ANNOTATE_TIME;

    annotate_start(report);
    report->in_doubt = f->ns > 0 && f->ns / 2 < f->error_ns;
    annotate_count(report, ANNOTATE_LINE, line->number > 0 ? (uint64_t)line->number : 0);
    if (f->hits > 0 || line->executable)
        annotate_count(report, ANNOTATE_HITS, f->hits);
    else
        annotate_blank(report, ANNOTATE_HITS);
    if (has_time) {
        annotate_time(report, ANNOTATE_TIME, f->ns);
        annotate_per_hit(report, f->ns, f->hits);
        annotate_percent(report, f->ns);
        annotate_time(report, ANNOTATE_CUMULATIVE, f->cumulative_ns);
        column = ANNOTATE_WAITING;
        if (f->ns > f->cpu_ns)
            annotate_time(report, column++, annotate_waiting(f->ns, f->cpu_ns));
    }
    for (; column < ANNOTATE_SOURCE_COLUMNS; column++)
        annotate_blank(report, column);
    annotate_end_figures(report);
    if (line->text != NULL)
        annotate_add_source(report, line->text, line->size);
    annotate_print(report, f->hits + f->ns == 0 ? ANNOTATE_DIM : annotate_heat(report, f->ns));
}

static bool is_hot(const struct annotate *report, const struct annotate_figures *figures)
{
    double percent = report->options->min_percent > 0 ? report->options->min_percent : fold_percent;
    double limit = percent / 100 * (double)report->catalog->total_self_ns;

    return (double)figures->ns >= limit || (double)figures->cumulative_ns >= limit;
}

static void print_call(struct annotate *report, const struct annotate_figures *figures,
                       const char *callee)
{
    uint64_t ns = figures->cumulative_ns,
             waiting = annotate_waiting(ns, figures->cumulative_cpu_ns);

    annotate_start(report);
    annotate_cell(report, ANNOTATE_LINE, "(call)");
    annotate_count(report, ANNOTATE_HITS, figures->hits);
    annotate_time(report, ANNOTATE_TIME, ns);
    annotate_per_hit(report, ns, figures->hits);
    annotate_percent(report, ns);
    annotate_time(report, ANNOTATE_CUMULATIVE, ns);
    if (waiting > 0)
        annotate_time(report, ANNOTATE_WAITING, waiting);
    else
        annotate_blank(report, ANNOTATE_WAITING);
    text_add_format(&report->row, "# %s", callee);
    report->row_figures = report->row.size;
    annotate_print(report, "36");
}

static void print_callee(struct annotate *report, const struct annotate_figures *figures,
                         const struct catalog_function *callee)
{
    struct text label = {0};

    text_add_format(&label, "%s:%lld %s", callee->file->shown, (long long)callee->first_line,
                    callee->qualname);
    print_call(report, figures, text_string(&label));
    report->row.failed |= label.failed;
    text_fini(&label);
}

/* The calls of a line that are folded into one row, behind its hot ones. */
struct cold_calls {
    size_t count;
    const struct catalog_function *first;
    struct annotate_figures sum;
};

static void print_cold_calls(struct annotate *report, const struct cold_calls *cold)
{
    char label[48];

    if (cold->count == 1) {
        print_callee(report, &cold->sum, cold->first);
    } else if (cold->count > 1) {
        snprintf(label, sizeof label, "[... %zu callees]", cold->count);
        print_call(report, &cold->sum, label);
    }
}

static void add_cold_call(struct cold_calls *cold, const struct annotate_figures *figures,
                          const struct catalog_function *callee)
{
    if (cold->count++ == 0)
        cold->first = callee;
    cold->sum.hits += figures->hits;
    cold->sum.cumulative_ns += figures->cumulative_ns;
    cold->sum.cumulative_cpu_ns += figures->cumulative_cpu_ns;
}

static void take_call(struct annotate *report, struct query *call, bool fold,
                      struct cold_calls *cold)
{
    const struct catalog_function *callee = catalog_function(report->catalog, query_int(call, 1));
    struct annotate_figures figures = {.hits = query_sum(call, 2),
                                       .cumulative_ns = query_sum(call, 3),
                                       .cumulative_cpu_ns = query_sum(call, 4)};

    if (callee == NULL)
        return;
    if (fold && !is_hot(report, &figures))
        add_cold_call(cold, &figures, callee);
    else
        print_callee(report, &figures, callee);
}

/* Prints the calls from `line`; earlier ones, of folded lines, are passed over. */
static void print_calls(struct annotate *report, struct query *calls, bool *more, int64_t line,
                        bool fold)
{
    struct cold_calls cold = {0};

    while (*more && query_int(calls, 0) <= line) {
        if (query_int(calls, 0) == line)
            take_call(report, calls, fold, &cold);
        *more = query_next(calls);
    }
    print_cold_calls(report, &cold);
}

/* ---- folding ---- */

static void keep_around(struct listing *listing, size_t hot)
{
    size_t first = hot > AROUND ? hot - AROUND : 0;

    for (size_t i = first; i <= hot + AROUND && i < listing->count; i++)
        listing->lines[i].is_kept = true;
}

/* The first lines of functions that are hot: a hot line says little without its `def`. */
static int keep_definitions(struct annotate *report, struct listing *listing,
                            const struct catalog_file *file)
{
    struct query query = query_open(
        report->db, "SELECT first_line, self_ns, cumulative_ns FROM functions WHERE file_id = ?1",
        report->err);

    query_bind(&query, 1, file->id);
    while (query_next(&query)) {
        struct annotate_figures figures = {.ns = query_sum(&query, 1),
                                           .cumulative_ns = query_sum(&query, 2)};
        struct line wanted = {.number = query_int(&query, 0)};
        struct line *line = listing->count == 0 ? NULL
                                                : bsearch(&wanted, listing->lines, listing->count,
                                                          sizeof *listing->lines, by_number);

        if (line != NULL && is_hot(report, &figures))
            line->is_kept = true;
    }
    return query_close(&query);
}

/* The end of the stretch of lines from `first` on that are all kept, or all not. */
static size_t stretch_end(const struct listing *listing, size_t first)
{
    size_t end = first;

    while (end < listing->count && listing->lines[end].is_kept == listing->lines[first].is_kept)
        end++;
    return end;
}

/* Decides which lines are printed. */
static int choose_lines(struct annotate *report, struct listing *listing,
                        const struct annotate_file *file)
{
    size_t end;

    for (size_t i = 0; i < listing->count; i++)
        if (!file->fold)
            listing->lines[i].is_kept = true;
        else if (is_hot(report, &listing->lines[i].figures))
            keep_around(listing, i);
    if (file->fold && keep_definitions(report, listing, file->file) < 0)
        return -1;
    for (size_t i = 0; i < listing->count; i = end) {
        end = stretch_end(listing, i);
        for (size_t j = i; end - i < FOLD_MIN && j < end; j++)
            listing->lines[j].is_kept = true;
    }
    return 0;
}

static void print_fold(struct annotate *report, const struct line *lines, size_t count)
{
    uint64_t ns = 0;

    annotate_start(report);
    for (size_t i = 0; i < count; i++)
        ns += lines[i].figures.ns;
    for (enum annotate_column column = 0; column < ANNOTATE_SOURCE_COLUMNS; column++)
        annotate_blank(report, column);
    text_add_format(&report->row, "[... %zu lines, ", count);
    annotate_add_share(report, ns);
    text_add_string(&report->row, "]");
    annotate_print(report, ANNOTATE_DIM);
}

static void print_listing(struct annotate *report, const struct listing *listing, bool fold,
                          struct query *calls)
{
    bool more = query_next(calls);

    for (size_t i = 0; i < listing->count && !output_failed(report->out);) {
        const struct line *line = &listing->lines[i];

        if (!line->is_kept) {
            size_t end = stretch_end(listing, i);

            print_fold(report, line, end - i);
            i = end;
        } else {
            print_line(report, line);
            print_calls(report, calls, &more, line->number, fold);
            i++;
        }
    }
}

/* ---- the whole ---- */

static void print_file_heading(struct annotate *report, const struct annotate_file *file,
                               bool has_text)
{
    static const enum annotate_column columns[] = {
        ANNOTATE_LINE,    ANNOTATE_HITS,       ANNOTATE_TIME,    ANNOTATE_PER_HIT,
        ANNOTATE_PERCENT, ANNOTATE_CUMULATIVE, ANNOTATE_WAITING,
    };

    annotate_start(report);
    text_add_format(&report->row, "File: %s", file->file->path);
    annotate_print(report, ANNOTATE_BOLD);
    annotate_start(report);
    text_add_string(&report->row, "File duration: ");
    annotate_add_time(report, file->sum.ns);
    text_add_string(&report->row, " (");
    annotate_add_share(report, file->sum.ns);
    text_add_string(&report->row, "), waiting ");
    annotate_add_time(report, annotate_waiting(file->sum.ns, file->sum.cpu_ns));
    text_add_format(&report->row, ", %llu %s", (unsigned long long)file->sum.hits,
                    file->sum.hits == 1 ? "hit" : "hits");
    annotate_print(report, NULL);
    if (!has_text)
        annotate_note(report, "The source was not recorded: lines with hits or time only.", NULL);
    if (file->file->changed)
        annotate_note(report, "The file has changed since: this is the source as it was recorded.",
                      NULL);
    annotate_headings(report, columns, ANNOTATE_SOURCE_COLUMNS, "Source");
}

int annotate_source(struct annotate *report, const struct annotate_file *file)
{
    struct query source =
        query_open(report->db, "SELECT source FROM files WHERE file_id = ?1", report->err);
    struct query calls =
        query_open(report->db,
                   "SELECT e.caller_line, e.callee_function_id, " CALLS_OR_SAMPLES(
                       "e.") ", e.cumulative_ns, e.cumulative_cpu_ns "
                             "FROM functions f CROSS JOIN edges e ON e.caller_function_id = "
                             "f.function_id WHERE f.file_id = ?1 "
                             "ORDER BY e.caller_line, e.cumulative_ns DESC, e.callee_file, "
                             "e.callee_line, e.callee_function_id",
                   report->err);
    struct listing listing = {0};
    int status = load_source(report, &listing, &source, file->file);
    bool has_text = listing.count > 0;

    if (status == 0)
        status = load_lines(report, &listing, file->file);
    if (status == 0)
        status = choose_lines(report, &listing, file);
    if (status == 0) {
        query_bind(&calls, 1, file->file->id);
        print_file_heading(report, file, has_text);
        print_listing(report, &listing, file->fold, &calls);
        output_text(report->out, "\n");
    }
    free(listing.lines);
    pool_fini(&listing.pool);
    status |= query_close(&source);
    status |= query_close(&calls);
    return status < 0 ? -1 : 0;
}
