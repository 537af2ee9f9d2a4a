#include "analyzer/sums.h"

/* --- What has figures --- */

/* The id is not given yet: not 0 marks. */
void sums_mark(struct sums_node *node)
{
    for (; node && !node->id; node = node->parent) {
        node->id = 1;
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

static bool has_entry(const struct sums_entry *entry)
{
    return entry->calls || entry->resumes || entry->cumulative;
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
    for (struct sums_node *node = sums->root; node; node = node->next)
        if (node == sums->root || node->cumulative || has_cells(node))
            sums_mark(node);
    for (struct sums_entry *entry = sums->all_entries; entry; entry = entry->next)
        if (has_entry(entry)) {
            sums_mark(entry->node);
            sums_mark(entry->caller->node);
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
    KEEP(sums_node, sums->root, item->id)
    KEEP(sums_entry, sums->all_entries, has_entry(item))
    KEEP(sums_edge, sums->all_edges, has_edge(item))
    KEEP(sums_edge, sums->all_pairs, has_edge(item))
    KEEP(sums_line, sums->all_lines, has_line(item))
    KEEP(sums_function, sums->all_functions, item->is_used)
    sums->node_count = 0;
    for (const struct sums_node *node = sums->root; node; node = node->next)
        sums->node_count++;
}
