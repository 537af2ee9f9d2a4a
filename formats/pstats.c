/* pstats.c - the file that pstats.Stats, `python -m pstats`, snakeviz and gprof2dot read.
 *
 * It is what cProfile's dump_stats() writes, a marshalled dictionary {function: (primitive calls,
 * calls, self, cumulative, {caller: (calls, primitive calls, self, cumulative)})}: the two counts
 * change places within. Every caller is a key of its own, for snakeviz. The first function of a
 * thread has no caller: cProfile's `exec` is cProfile's own. Only codes of marshal that every
 * Python 3 reads are used, no references.
 */
#include <string.h>

#include "formats/call_stats.h"
#include "formats/error.h"
#include "formats/format.h"
#include "formats/output.h"

/* ---- marshal ---- */

static void write_little(struct output *out, uint64_t value, int size)
{
    unsigned char bytes[8];

    for (int i = 0; i < size; i++)
        bytes[i] = (unsigned char)(value >> 8 * i);
    output_write(out, bytes, (size_t)size);
}

static void write_code(struct output *out, char code)
{
    output_write(out, &code, 1);
}

/* Beyond 32 bits it is digits of 15 bits. */
static void write_int(struct output *out, uint64_t value)
{
    uint32_t digits = 0;

    if (value <= INT32_MAX) {
        write_code(out, 'i');
        write_little(out, value, 4);
        return;
    }
    for (uint64_t rest = value; rest > 0; rest >>= 15)
        digits++;
    write_code(out, 'l');
    write_little(out, digits, 4);
    for (; value > 0; value >>= 15)
        write_little(out, value & 0x7FFF, 2);
}

static void write_float(struct output *out, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    write_code(out, 'g');
    write_little(out, bits, 8);
}

static void write_string(struct output *out, const char *string)
{
    size_t size = strlen(string);

    write_code(out, 'u');
    write_little(out, size, 4);
    output_write(out, string, size);
}

static void write_tuple(struct output *out, unsigned size)
{
    write_code(out, '(');
    write_little(out, size, 4);
}

/* ---- the dictionary ---- */

static void write_key(struct output *out, const struct call_stats_function *function)
{
    write_tuple(out, 3);
    write_string(out, function->python);
    write_int(out, function->line > 0 ? (uint64_t)function->line : 0);
    write_string(out, function->name);
}

static void write_times(struct output *out, const struct call_stats_figures *sum)
{
    write_float(out, sum->self);
    write_float(out, sum->cumulative);
}

static void write_caller(struct output *out, const struct call_stats *stats,
                         const struct call_stats_edge *edge)
{
    write_key(out, &stats->functions[edge->caller]);
    write_tuple(out, 4);
    write_int(out, edge->sum.calls);
    write_int(out, edge->sum.primitive_calls);
    write_times(out, &edge->sum);
}

static void write_function(struct output *out, const struct call_stats *stats, size_t index,
                           size_t *edge)
{
    const struct call_stats_function *function = &stats->functions[index];

    write_key(out, function);
    write_tuple(out, 5);
    write_int(out, function->sum.primitive_calls);
    write_int(out, function->sum.calls);
    write_times(out, &function->sum);
    write_code(out, '{');
    for (; *edge < stats->edge_count && stats->edges[*edge].callee == index; (*edge)++)
        write_caller(out, stats, &stats->edges[*edge]);
    write_code(out, '0');
}

struct writer {
    sqlite3 *db;
    struct output *out;
    struct error *err;
};

static int write_part(void *context, int64_t thread_id)
{
    const struct writer *writer = context;
    struct output *out = writer->out;
    struct call_stats stats;
    int status = call_stats_load(&stats, writer->db, thread_id, writer->err);
    size_t edge = 0;

    if (status == 0) {
        write_code(out, '{');
        for (size_t i = 0; i < stats.function_count; i++)
            write_function(out, &stats, i, &edge);
        write_code(out, '0');
    }
    call_stats_fini(&stats);
    return status;
}

/* ---- the format ---- */

static int pstats_write(sqlite3 *db, const struct format_options *options, struct output *out,
                        struct error *err)
{
    struct writer writer = {.db = db, .out = out, .err = err};

    return options->per_thread ? format_write_threads(db, out, write_part, &writer, err)
                               : write_part(&writer, 0);
}

/* Python's own files mark what may be referred to with 0x80. */
static bool pstats_recognize(const unsigned char *head, int size)
{
    return size >= 2 && (head[0] & 0x7F) == '{' &&
           ((head[1] & 0x7F) == '(' || (head[1] & 0x7F) == ')' || head[1] == '0');
}

static const char *const suffixes[] = {".pstats", ".prof", NULL};

extern const struct format format_pstats;
const struct format format_pstats = {
    .name = "pstats",
    .suffixes = suffixes,
    .summary = "cProfile's file, for pstats, snakeviz and gprof2dot",
    .binary = true,
    .recognize = pstats_recognize,
    .write = pstats_write,
    .advise = format_advise_whole,
};
