/* stats.c - cProfile's table, as pstats prints it, and its lists of callers and callees.
 *
 * What pstats prints of the file that the format `pstats` writes, byte for byte, but for two
 * things: names that could harm a terminal are escaped, and callers that become alike by
 * --strip-dirs are added up, of which pstats keeps only the last.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/error.h"
#include "formats/format.h"
#include "formats/output.h"
#include "formats/query.h"
#include "formats/stats.h"

/* A pair, as a list shows it. */
struct call {
    const struct stats_row *callee;
    const struct stats_row *caller;
    struct call_stats_figures sum;
};

/* What pstats.Stats holds. */
struct profile {
    struct call_stats stats;
    struct stats_row *rows; /* owned; as many as there are functions, the first `count` used */
    size_t count;
    struct stats_row **row_of; /* owned; by index of a function */
    struct call *calls;        /* owned */
    size_t call_count;
    struct call_stats_figures total; /* of all functions, in their order */
    struct pool pool;
};

struct printer {
    const struct format_options *options;
    struct output *out;
    struct error *err;
    double per_second; /* of the unit of times */
    bool is_sampled;
    struct text line;
};

static int no_memory(struct error *err)
{
    return error_set(err, "out of memory");
}

/* ---- rows ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* As pstats calls it: file:line(name), and of C functions the name in braces. */
static void add_label(struct text *text, const struct stats_row *row)
{
    size_t size = strlen(row->name);

    if (strcmp(row->file, "~") != 0 || row->line != 0) {
        text_add_printable(text, row->file, strlen(row->file));
        text_add_format(text, ":%lld(", (long long)row->line);
        text_add_printable(text, row->name, size);
        text_add_string(text, ")");
    } else if (size >= 2 && row->name[0] == '<' && row->name[size - 1] == '>') {
        text_add_string(text, "{");
        text_add_printable(text, row->name + 1, size - 2);
        text_add_string(text, "}");
    } else {
        text_add_printable(text, row->name, size);
    }
}

static int name_row(struct profile *profile, struct stats_row *row, struct text *text)
{
    text_clear(text);
    add_label(text, row);
    row->width = text_characters(text->at, text->size);
    row->label = text->failed ? NULL : pool_string(&profile->pool, text->at, text->size);
    return row->label != NULL ? 0 : -1;
}

static int compare_rows(const struct stats_row *left, const struct stats_row *right)
{
    int order = strcmp(left->file, right->file);

    if (order == 0)
        order = (left->line > right->line) - (left->line < right->line);
    return order != 0 ? order : strcmp(left->name, right->name);
}

/* Those alike stand together, the first in front. */
static int by_function(const void *a, const void *b)
{
    const struct stats_row *left = *(struct stats_row *const *)a;
    const struct stats_row *right = *(struct stats_row *const *)b;
    int order = compare_rows(left, right);

    return order != 0 ? order : (left > right) - (left < right);
}

/* profile->row_of: for each function its row, or the first row that is alike. */
static int find_alike(struct profile *profile)
{
    struct stats_row **sorted = calloc(profile->stats.function_count + 1, sizeof *sorted);
    struct stats_row *first = NULL;

    if (sorted == NULL)
        return -1;
    for (size_t i = 0; i < profile->stats.function_count; i++)
        sorted[i] = &profile->rows[i];
    qsort(sorted, profile->stats.function_count, sizeof(struct stats_row *), by_function);
    for (size_t i = 0; i < profile->stats.function_count; i++) {
        if (first == NULL || compare_rows(first, sorted[i]) != 0)
            first = sorted[i];
        profile->row_of[sorted[i] - profile->rows] = first;
    }
    free(sorted);
    return 0;
}

/* Adds up rows that are alike and closes the ranks. */
static void join_rows(struct profile *profile)
{
    struct stats_row *next = profile->rows;

    for (size_t i = 0; i < profile->stats.function_count; i++) {
        struct stats_row *row = &profile->rows[i];

        if (profile->row_of[i] != row) {
            profile->row_of[i] = profile->row_of[profile->row_of[i] - profile->rows];
            call_stats_add(&profile->row_of[i]->sum, &profile->stats.functions[i].sum);
            continue;
        }
        profile->row_of[i] = next;
        *next++ = *row;
    }
    profile->count = (size_t)(next - profile->rows);
}

static int make_rows(struct profile *profile, bool strip)
{
    struct text text = {0};
    int status = 0;

    for (size_t i = 0; i < profile->stats.function_count; i++) {
        const struct call_stats_function *function = &profile->stats.functions[i];

        profile->rows[i] = (struct stats_row){
            .file = strip ? base_name(function->file) : function->file,
            .line = function->line,
            .name = function->name,
            .sum = function->sum,
        };
        call_stats_add(&profile->total, &function->sum);
    }
    if (find_alike(profile) < 0)
        return -1;
    join_rows(profile);
    for (size_t i = 0; status == 0 && i < profile->count; i++)
        status = name_row(profile, &profile->rows[i], &text);
    text_fini(&text);
    return status;
}

/* ---- calls ---- */

static int by_callee(const void *a, const void *b)
{
    const struct call *left = a, *right = b;

    if (left->callee != right->callee)
        return left->callee < right->callee ? -1 : 1;
    return compare_rows(left->caller, right->caller);
}

static int by_caller(const void *a, const void *b)
{
    const struct call *left = a, *right = b;

    if (left->caller != right->caller)
        return left->caller < right->caller ? -1 : 1;
    return compare_rows(left->callee, right->callee);
}

/* In the order of callees; pairs that are alike are added up. */
static void make_calls(struct profile *profile)
{
    struct call *last = NULL;
    size_t count = profile->stats.edge_count;

    for (size_t i = 0; i < count; i++) {
        const struct call_stats_edge *edge = &profile->stats.edges[i];

        profile->calls[i] =
            (struct call){profile->row_of[edge->callee], profile->row_of[edge->caller], edge->sum};
    }
    if (count > 0)
        qsort(profile->calls, count, sizeof *profile->calls, by_callee);
    for (size_t i = 0; i < count; i++) {
        const struct call *call = &profile->calls[i];

        if (last != NULL && by_callee(last, call) == 0) {
            call_stats_add(&last->sum, &call->sum);
            continue;
        }
        last = last == NULL ? profile->calls : last + 1;
        *last = *call;
    }
    profile->call_count = last == NULL ? 0 : (size_t)(last - profile->calls) + 1;
}

/* ---- the whole profile ---- */

static int load_profile(struct profile *profile, sqlite3 *db, int64_t thread_id, bool strip,
                        struct error *err)
{
    *profile = (struct profile){.count = 0};
    if (call_stats_load(&profile->stats, db, thread_id, err) < 0)
        return -1;
    profile->rows = calloc(profile->stats.function_count + 1, sizeof *profile->rows);
    profile->row_of = calloc(profile->stats.function_count + 1, sizeof *profile->row_of);
    profile->calls = calloc(profile->stats.edge_count + 1, sizeof *profile->calls);
    if (profile->rows == NULL || profile->row_of == NULL || profile->calls == NULL ||
        make_rows(profile, strip) < 0)
        return no_memory(err);
    make_calls(profile);
    return 0;
}

static void free_profile(struct profile *profile)
{
    free(profile->rows);
    free(profile->row_of);
    free(profile->calls);
    pool_fini(&profile->pool);
    call_stats_fini(&profile->stats);
}

/* ---- the table ---- */

static void end_line(struct printer *printer)
{
    text_add_string(&printer->line, "\n");
    output_write(printer->out, printer->line.at, printer->line.size);
    text_clear(&printer->line);
}

static void add_time(struct printer *printer, double seconds)
{
    text_add_format(&printer->line, "%8.3f", seconds * printer->per_second);
}

/* Of nothing there is no average, and per sample there is nothing to tell. */
static void add_average(struct printer *printer, double seconds, uint64_t count)
{
    if (printer->is_sampled)
        return;
    if (count == 0)
        text_add_spaces(&printer->line, 9);
    else
        text_add_format(&printer->line, " %8.3f", seconds * printer->per_second / (double)count);
}

static void add_calls(struct printer *printer, const struct call_stats_figures *sum, int width)
{
    char cell[48];

    if (sum->calls == sum->primitive_calls)
        snprintf(cell, sizeof cell, "%llu", (unsigned long long)sum->calls);
    else
        snprintf(cell, sizeof cell, "%llu/%llu", (unsigned long long)sum->calls,
                 (unsigned long long)sum->primitive_calls);
    text_add_format(&printer->line, "%*s ", width, cell);
}

static void print_row(struct printer *printer, const struct stats_row *row)
{
    add_calls(printer, &row->sum, 9);
    add_time(printer, row->sum.self);
    add_average(printer, row->sum.self, row->sum.calls);
    text_add_string(&printer->line, " ");
    add_time(printer, row->sum.cumulative);
    add_average(printer, row->sum.cumulative, row->sum.primitive_calls);
    text_add_string(&printer->line, " ");
    text_add_string(&printer->line, row->label);
    end_line(printer);
}

static void print_totals(struct printer *printer, const struct profile *profile)
{
    const struct call_stats_figures *total = &profile->total;
    const char *unit = printer->options->unit;

    text_add_format(&printer->line, "         %llu %s ", (unsigned long long)total->calls,
                    printer->is_sampled ? "samples" : "function calls");
    if (total->calls != total->primitive_calls)
        text_add_format(&printer->line, "(%llu primitive calls) ",
                        (unsigned long long)total->primitive_calls);
    text_add_format(&printer->line, "in %.3f %s\n", total->self * printer->per_second,
                    unit != NULL ? unit : "seconds");
    if (printer->is_sampled)
        text_add_string(&printer->line, "         Counts are samples, times are estimates: calls "
                                        "are not known\n");
    end_line(printer);
}

/* ---- lists of callers and callees ---- */

/* Which end of a call heads the list. */
struct direction {
    const char *title;
    const char *arrow;
    int (*order)(const void *, const void *);
    bool by_callee;
};

static const struct direction callers = {"was called by...", "<- ", by_callee, true};
static const struct direction callees = {"called...", "-> ", by_caller, false};

static const struct stats_row *head_of(const struct direction *direction, const struct call *call)
{
    return direction->by_callee ? call->callee : call->caller;
}

/* The first call of the row's list; profile->calls are in the direction's order. */
static size_t first_call(const struct profile *profile, const struct direction *direction,
                         const struct stats_row *row)
{
    size_t low = 0, high = profile->call_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (head_of(direction, &profile->calls[middle]) < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void print_list(struct printer *printer, const struct profile *profile,
                       const struct direction *direction, const struct stats_row *row, int width)
{
    size_t first = first_call(profile, direction, row), i = first;

    text_add_string(&printer->line, row->label);
    text_add_spaces(&printer->line, width - row->width);
    text_add_string(&printer->line, direction->arrow);
    for (; i < profile->call_count && head_of(direction, &profile->calls[i]) == row; i++) {
        const struct call *call = &profile->calls[i];
        const struct stats_row *other = direction->by_callee ? call->caller : call->callee;

        if (i > first)
            text_add_spaces(&printer->line, width + 1);
        add_calls(printer, &call->sum, i > first ? 9 : 7);
        add_time(printer, call->sum.self);
        text_add_string(&printer->line, " ");
        add_time(printer, call->sum.cumulative);
        text_add_format(&printer->line, "  %s", other->label);
        end_line(printer);
    }
    if (i == first)
        end_line(printer);
}

static void print_lists(struct printer *printer, const struct profile *profile,
                        const struct direction *direction, const struct stats_row *const *rows,
                        size_t count)
{
    int width = 0;

    for (size_t i = 0; i < count; i++)
        if (rows[i]->width > width)
            width = rows[i]->width;
    width += 2;
    if (profile->call_count > 0)
        qsort(profile->calls, profile->call_count, sizeof *profile->calls, direction->order);
    text_add_format(&printer->line, "%-*s%s", width, "Function ", direction->title);
    end_line(printer);
    if (profile->call_count > 0) {
        text_add_format(&printer->line, "%*s   %s  tottime  cumtime", width, "",
                        printer->is_sampled ? "samples" : " ncalls");
        end_line(printer);
    }
    for (size_t i = 0; i < count; i++)
        print_list(printer, profile, direction, rows[i], width);
}

/* ---- which rows ---- */

static void add_reduction(struct text *title, size_t before, size_t after, const char *why)
{
    if (before != after)
        text_add_format(title, "   List reduced from %zu to %zu due to %s\n", before, after, why);
}

/* --file and --min-percent come before pstats' own restrictions, --top behind them. */
static size_t keep_selected(const struct printer *printer, const struct profile *profile,
                            const struct stats_row **rows, size_t count, struct text *title)
{
    const struct format_options *options = printer->options;
    double least = options->min_percent > 0 ? profile->total.self * options->min_percent / 100 : -1;
    size_t matching = 0, kept = 0;

    for (size_t i = 0; i < count; i++)
        if (format_file_matches(options->files, rows[i]->file))
            rows[matching++] = rows[i];
    for (size_t i = 0; i < matching; i++)
        if (rows[i]->sum.cumulative >= least)
            rows[kept++] = rows[i];
    add_reduction(title, count, matching, "--file");
    add_reduction(title, matching, kept, "--min-percent");
    return kept;
}

/* Those that are to be printed, in their order; the heading in `title`. */
static int choose_rows(const struct printer *printer, const struct profile *profile,
                       const struct stats_row **rows, size_t *count, struct text *title)
{
    const struct format_options *options = printer->options;
    size_t before;

    for (size_t i = 0; i < profile->count; i++)
        rows[i] = &profile->rows[i];
    text_add_string(title, "   Ordered by: ");
    if (stats_sort(rows, profile->count, options, title, printer->err) < 0)
        return -1;
    text_add_string(title, "\n");
    *count = keep_selected(printer, profile, rows, profile->count, title);
    if (stats_restrict(rows, count, options, title, printer->err) < 0)
        return -1;
    before = *count;
    if (options->top > 0 && before > (size_t)options->top)
        *count = (size_t)options->top;
    add_reduction(title, before, *count, "--top");
    return 0;
}

static void print_table(struct printer *printer, const struct stats_row *const *rows, size_t count)
{
    text_add_string(&printer->line, printer->is_sampled
                                        ? "  samples  tottime  cumtime filename:lineno(function)"
                                        : "   ncalls  tottime  percall  cumtime  percall "
                                          "filename:lineno(function)");
    end_line(printer);
    for (size_t i = 0; i < count; i++)
        print_row(printer, rows[i]);
}

/* The heading and what it is about; nothing at all if no row is left. */
static void print_rows(struct printer *printer, const struct profile *profile,
                       const struct direction *direction, const char *title,
                       const struct stats_row *const *rows, size_t count)
{
    if (count == 0)
        return;
    output_text(printer->out, title);
    output_text(printer->out, "\n");
    if (direction == NULL)
        print_table(printer, rows, count);
    else
        print_lists(printer, profile, direction, rows, count);
    output_text(printer->out, "\n\n");
}

static int print_profile(struct printer *printer, const struct profile *profile)
{
    const struct format_options *options = printer->options;
    const struct stats_row **rows = calloc(profile->count + 1, sizeof *rows);
    struct text title = {0};
    size_t count = 0;
    int status = rows == NULL ? no_memory(printer->err)
                              : choose_rows(printer, profile, rows, &count, &title);

    if (status == 0) {
        const char *heading = text_string(&title);

        if (!options->callers && !options->callees) {
            print_totals(printer, profile);
            print_rows(printer, profile, NULL, heading, rows, count);
        }
        if (options->callers)
            print_rows(printer, profile, &callers, heading, rows, count);
        if (options->callees)
            print_rows(printer, profile, &callees, heading, rows, count);
    }
    if (status == 0 && title.failed)
        status = no_memory(printer->err);
    text_fini(&title);
    free(rows);
    return status;
}

static int print_part(struct printer *printer, sqlite3 *db, int64_t thread_id)
{
    struct profile profile;
    int status = load_profile(&profile, db, thread_id, printer->options->strip_dirs, printer->err);

    printer->is_sampled = profile.stats.is_sampled;
    if (status == 0)
        status = print_profile(printer, &profile);
    free_profile(&profile);
    return status;
}

static int print_threads(struct printer *printer, sqlite3 *db)
{
    struct query query =
        query_open(db,
                   "SELECT t.thread_id, t.name, t.native_id, p.pid FROM threads t JOIN processes p "
                   "USING (process_id) ORDER BY t.thread_id",
                   printer->err);
    int status = 0;

    while (status == 0 && query_next(&query)) {
        size_t size;
        const char *name = query_text(&query, 1, &size);

        text_add_string(&printer->line, "Thread ");
        text_add_printable(&printer->line, name, size);
        text_add_format(&printer->line, " [%lld] of process %lld\n",
                        (long long)query_int(&query, 2), (long long)query_int(&query, 3));
        end_line(printer);
        status = print_part(printer, db, query_int(&query, 0));
    }
    return query_close(&query) < 0 ? -1 : status;
}

/* ---- the format ---- */

static double units_per_second(const char *unit)
{
    static const struct {
        const char *name;
        double per_second;
    } units[] = {{"ms", 1e3}, {"us", 1e6}, {"ns", 1e9}};

    for (size_t i = 0; unit != NULL && i < sizeof units / sizeof units[0]; i++)
        if (strcmp(units[i].name, unit) == 0)
            return units[i].per_second;
    return 1;
}

static int stats_write(sqlite3 *db, const struct format_options *options, struct output *out,
                       struct error *err)
{
    struct printer printer = {
        .options = options,
        .out = out,
        .err = err,
        .per_second = units_per_second(options->unit),
    };
    int status = options->per_thread ? print_threads(&printer, db) : print_part(&printer, db, 0);

    if (status == 0 && printer.line.failed)
        status = no_memory(err);
    text_fini(&printer.line);
    return status;
}

static int stats_check(const struct format_options *options, struct error *err)
{
    return stats_check_sort(options, err) < 0 ? -1 : stats_check_restricts(options, err);
}

static bool stats_recognize(const unsigned char *head, int size)
{
    static const char *const starts[] = {"         ", "   Ordered by: ", "Thread "};

    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
        if (size >= (int)strlen(starts[i]) && memcmp(head, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

static const char *const suffixes[] = {NULL};

extern const struct format format_stats;
const struct format format_stats = {
    .name = "stats",
    .suffixes = suffixes,
    .summary = "functions as cProfile and pstats print them",
    .heeds = FORMAT_HEEDS_PSTATS,
    .recognize = stats_recognize,
    .check = stats_check,
    .write = stats_write,
};
