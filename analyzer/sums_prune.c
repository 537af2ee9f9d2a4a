#include "analyzer/sums.h"

/* --- What has figures --- */

/* The ranks are not given yet: not 0 marks. The root is marked, and with it all are at an end. */
void sums_mark(const struct sums *sums, struct sums_node *node)
{
    for (; !node->rank; node = sums_node(sums, node->parent)) {
        node->rank = 1;
        node->function->is_used = true;
    }
}

static bool has_cells(const struct sums_node *node)
{
    const struct sums_cell *cell;

    for (uint64_t i = 0; (cell = sums_next_cell(node, &i));)
        if (cell->hits || cell->self)
            return true;
    return false;
}

static bool has_figures(const struct sums_entry *entry)
{
    return entry->calls || entry->resumes || entry->cumulative;
}

bool sums_entry_counts(const struct sums *sums, const struct sums_entry *entry)
{
    return entry->node && (!sums->is_pruned || has_figures(entry));
}

static bool has_edge(const struct sums_edge *edge)
{
    return edge->calls || edge->resumes || edge->cumulative || edge->cumulative_hits;
}

static bool has_line(const struct sums_line *line)
{
    return line->hits || line->self || sums_line_cumulative(line);
}

static void mark_all(struct sums *sums)
{
    for (uint32_t i = 0; i < sums->nodes.count; i++) {
        struct sums_node *node = sums_node(sums, i);
        if (node == sums->root || node->cumulative || has_cells(node))
            sums_mark(sums, node);
    }
    for (uint32_t i = 0; i < sums->entries.count; i++) {
        const struct sums_entry *entry = sums_entry_at(sums, i);
        if (entry->node && has_figures(entry)) {
            sums_mark(sums, entry->node);
            sums_mark(sums, sums_node(sums, entry->caller_node));
        }
    }
    for (struct sums_edge *edge = sums->all_edges; edge; edge = edge->next)
        if (has_edge(edge)) {
            edge->callee->is_used = true;
            if (edge->caller->function)
                edge->caller->function->is_used = true;
        }
}

/* --- Taking the others out of the lists --- */

#define KEEP(type, first, condition)                                                               \
    for (struct type **at = &(first); *at;) {                                                      \
        const struct type *item = *at;                                                             \
        if (condition)                                                                             \
            at = &(*at)->next;                                                                     \
        else                                                                                       \
            *at = (*at)->next;                                                                     \
    }

void sums_prune(struct sums *sums)
{
    mark_all(sums);
    KEEP(sums_edge, sums->all_edges, has_edge(item))
    KEEP(sums_edge, sums->all_pairs, has_edge(item))
    KEEP(sums_line, sums->all_lines, has_line(item))
    KEEP(sums_function, sums->all_functions, item->is_used)
    sums->is_pruned = true;
}

void sums_rank(struct sums *sums, uint64_t first)
{
    sums->first_context = first;
    for (uint32_t i = 0; i < sums->nodes.count; i++) {
        struct sums_node *node = sums_node(sums, i);
        if (!sums->is_pruned || node->rank)
            node->rank = ++sums->context_count;
    }
}
