/* tree.c - the call tree on a terminal: who called whom, and how much of the time lies below it.
 *
 * What libraries do inside is folded (call_tree.h). Weights are those of --by, and what is below
 * one percent is left out unless --min-percent says otherwise.
 */
#include <string.h>

#include "formats/annotate.h"
#include "formats/call_tree.h"
#include "formats/catalog.h"
#include "formats/format.h"
#include "formats/output.h"
#include "formats/stacks.h"

/* Levels that are drawn; of a branch farther in, the innermost ones. */
enum { LEVELS_MAX = 24 };

static const double LEAST_PERCENT = 1;

/* "│ ├ ": which of the branches above it go on below it. */
static void add_lines(struct text *row, const struct call_tree *tree, uint32_t index)
{
    bool goes_on[LEVELS_MAX];
    int levels = 0;
    bool is_deep;

    for (; tree->branches[index].parent != 0 && levels < LEVELS_MAX;
         index = tree->branches[index].parent)
        goes_on[levels++] = tree->branches[index].next != 0;
    is_deep = tree->branches[index].parent != 0;
    text_add_string(row, is_deep ? "… " : "");
    while (levels-- > 0) {
        if (levels > 0)
            text_add_string(row, goes_on[levels] ? "│ " : "  ");
        else
            text_add_string(row, goes_on[levels] ? "├ " : "└ ");
    }
}

static void print_branch(struct annotate *report, const struct call_tree *tree, uint32_t index)
{
    const struct call_branch *branch = &tree->branches[index];

    annotate_start(report);
    annotate_percent(report, branch->total);
    if (report->options->weight == FORMAT_WEIGHT_HITS)
        annotate_count(report, ANNOTATE_HITS, branch->total);
    else
        annotate_time(report, ANNOTATE_TIME, branch->total);
    annotate_end_figures(report);
    add_lines(&report->row, tree, index);
    text_add_string(&report->row, branch->frame != NULL ? branch->frame->text : "[self]");
    if (branch->folded > 0)
        text_add_format(&report->row, " [+%u]", branch->folded);
    annotate_print(report, annotate_heat(report, branch->frame == NULL || branch->first_child == 0
                                                     ? branch->total
                                                     : 0));
}

static void print_what_is_not_there(struct annotate *report, const struct call_tree *tree,
                                    double least)
{
    if (tree->has_folded)
        annotate_note(report, "[+N]: with N frames of libraries below it (--file '*' shows them)",
                      ANNOTATE_DIM);
    if (tree->has_left_out) {
        annotate_start(report);
        text_add_format(&report->row, "What is below %g %% is left out (--min-percent)", least);
        annotate_print(report, ANNOTATE_DIM);
    }
}

/* The title speaks of the time of all threads. */
static void print_whole(struct annotate *report)
{
    annotate_start(report);
    text_add_string(&report->row, "Here 100 % is ");
    if (report->options->weight == FORMAT_WEIGHT_CPU) {
        annotate_add_time(report, report->total_ns);
        text_add_string(&report->row, ", the time of all threads on a processor");
    } else {
        text_add_uint(&report->row, report->total_ns);
        text_add_string(&report->row, report->total_ns == 1 ? " hit" : " hits");
    }
    annotate_print(report, NULL);
}

static int print_tree(struct annotate *report, const struct call_tree *tree, double least)
{
    bool is_hits = report->options->weight == FORMAT_WEIGHT_HITS;
    const enum annotate_column columns[] = {ANNOTATE_PERCENT,
                                            is_hits ? ANNOTATE_HITS : ANNOTATE_TIME};

    if (annotate_title(report) < 0)
        return -1;
    report->total_ns = tree->branches[0].total;
    annotate_measure_totals(report, report->total_ns);
    if (report->options->weight != FORMAT_WEIGHT_SELF)
        print_whole(report);
    output_text(report->out, "\n");
    annotate_headings(report, columns, 2,
                      report->options->weight == FORMAT_WEIGHT_CPU ? "Call tree, by CPU time"
                                                                   : "Call tree");
    for (uint32_t i = call_tree_next(tree, 0); i != 0; i = call_tree_next(tree, i))
        print_branch(report, tree, i);
    print_what_is_not_there(report, tree, least);
    return 0;
}

static int write_tree(struct annotate *report, const struct stacks *stacks)
{
    double asked = report->options->min_percent, least = asked < 0 ? LEAST_PERCENT : asked;
    struct call_tree tree;
    int status = call_tree_build(&tree, stacks, report->options, least, report->err);

    if (status == 0)
        status = print_tree(report, &tree, least);
    call_tree_fini(&tree);
    return status;
}

static int tree_write(sqlite3 *db, const struct format_options *options, struct output *out,
                      struct error *err)
{
    struct annotate report;
    struct stacks *stacks = NULL;
    int status = annotate_begin(&report, db, options, out, err);

    if (status == 0)
        stacks = stacks_load(db, report.catalog, options, stacks_by_weight, err);
    if (stacks != NULL)
        status = write_tree(&report, stacks);
    else
        status = -1;
    stacks_free(stacks);
    return annotate_end(&report, status);
}

static bool tree_recognize(const unsigned char *head, int size)
{
    static const char first[] = "Command line: ";

    return size >= (int)sizeof first - 1 && memcmp(head, first, sizeof first - 1) == 0;
}

static const char *const suffixes[] = {".tree", NULL};

extern const struct format format_tree;
const struct format format_tree = {
    .name = "tree",
    .suffixes = suffixes,
    .summary = "who called whom, and how much of the time lies below",
    .heeds = FORMAT_HEEDS_WEIGHT,
    .recognize = tree_recognize,
    .write = tree_write,
};
