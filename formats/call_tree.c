#include "formats/call_tree.h"

#include <stdlib.h>
#include <string.h>

#include "formats/catalog.h"
#include "formats/error.h"
#include "formats/format.h"
#include "formats/keymap.h"
#include "formats/stacks.h"

struct builder {
    struct call_tree *tree;
    const struct stacks *stacks;
    const struct format_options *options;
    uint32_t *branches; /* owned; of each node of the stacks */
    struct keymap frames;
    struct keymap children; /* (branch, frame) -> branch */
    bool shows_all;
};

/* ---- whose frame it is ---- */

static bool is_programs(const struct builder *builder, const struct stacks_frame *frame)
{
    const struct catalog_function *function = frame->function;

    if (builder->shows_all || function == NULL)
        return true;
    if (builder->options->files != NULL)
        return format_file_matches(builder->options->files, function->file->raw_path);
    return function->file->origin == CATALOG_PROGRAM;
}

/* A run of nothing but libraries is shown as it is. */
static bool has_program(const struct builder *builder)
{
    for (size_t i = 0; i < builder->stacks->count; i++) {
        const struct stacks_frame *frame = builder->stacks->nodes[i].frame;

        if (frame->function != NULL && is_programs(builder, frame))
            return true;
    }
    return false;
}

/* ---- branches ---- */

static struct call_branch *add_branch(struct call_tree *tree, uint32_t parent,
                                      const struct stacks_frame *frame)
{
    if (tree->count == tree->room) {
        size_t room = tree->room == 0 ? 256 : tree->room * 2;
        struct call_branch *branches =
            room > UINT32_MAX ? NULL : realloc(tree->branches, room * sizeof *branches);

        if (branches == NULL)
            return NULL;
        tree->branches = branches;
        tree->room = room;
    }
    tree->branches[tree->count] = (struct call_branch){.frame = frame, .parent = parent};
    return &tree->branches[tree->count++];
}

/* A frame's number, from 1; 0: out of memory. */
static uint32_t number_of(struct builder *builder, const struct stacks_frame *frame)
{
    struct keymap_slot *slot = keymap_slot(&builder->frames, (uint64_t)(uintptr_t)frame);

    if (slot != NULL && slot->value == 0)
        slot->value = (uint32_t)builder->frames.used + 1;
    return slot != NULL ? slot->value : 0;
}

/* The branch of that frame below `parent`, made on its first use; 0: out of memory. */
static uint32_t child_of(struct builder *builder, uint32_t parent, const struct stacks_frame *frame)
{
    uint32_t number = number_of(builder, frame);
    struct keymap_slot *slot =
        number != 0 ? keymap_slot(&builder->children, (uint64_t)parent << 32 | number) : NULL;

    if (slot != NULL && slot->value == 0 && add_branch(builder->tree, parent, frame) != NULL)
        slot->value = (uint32_t)(builder->tree->count - 1);
    return slot != NULL ? slot->value : 0;
}

/* Parents come before their children. */
static int place_node(struct builder *builder, uint32_t index)
{
    const struct stacks_node *node = &builder->stacks->nodes[index];
    uint32_t above = builder->branches[node->parent];
    struct call_branch *branch = &builder->tree->branches[above];

    if (above != 0 && !is_programs(builder, node->frame) && !is_programs(builder, branch->frame)) {
        branch->folded++;
        builder->tree->has_folded = true;
    } else {
        above = child_of(builder, above, node->frame);
        if (above == 0)
            return -1;
    }
    builder->branches[index] = above;
    builder->tree->branches[above].self += node->self;
    return 0;
}

static void add_up(struct call_tree *tree)
{
    for (size_t i = tree->count; i-- > 0;) {
        tree->branches[i].total += tree->branches[i].self;
        if (i > 0)
            tree->branches[tree->branches[i].parent].total += tree->branches[i].total;
    }
}

/* A branch with children says apart what is its own. */
static int add_selves(struct call_tree *tree)
{
    size_t count = tree->count;
    bool *has_children = calloc(count + 1, sizeof *has_children);
    int status = has_children != NULL ? 0 : -1;

    for (size_t i = count; status == 0 && i-- > 1;)
        has_children[tree->branches[i].parent] = true;
    for (size_t i = 1; status == 0 && i < count; i++) {
        uint64_t self = tree->branches[i].self;
        struct call_branch *own =
            has_children[i] && self > 0 ? add_branch(tree, (uint32_t)i, NULL) : NULL;

        if (own != NULL)
            own->self = own->total = self;
        else if (has_children[i] && self > 0)
            status = -1;
    }
    free(has_children);
    return status;
}

/* ---- order ---- */

static const char *text_of(const struct call_branch *branch)
{
    return branch->frame != NULL ? branch->frame->text : "";
}

static int by_parent_and_weight(const void *a, const void *b)
{
    const struct call_branch *left = *(const struct call_branch *const *)a;
    const struct call_branch *right = *(const struct call_branch *const *)b;

    if (left->parent != right->parent)
        return left->parent < right->parent ? -1 : 1;
    if (left->total != right->total)
        return left->total < right->total ? 1 : -1;
    return strcmp(text_of(left), text_of(right));
}

/* Links the children of each branch that weigh enough. What a branch weighs itself is worth a row
 * only beside others. */
static int link_children(struct call_tree *tree, double least)
{
    size_t count = tree->count - 1;
    struct call_branch **sorted;

    if (tree->count < 2)
        return 0;
    sorted = calloc(count, sizeof *sorted);
    if (sorted == NULL)
        return -1;
    for (size_t i = 0; i < count; i++)
        sorted[i] = &tree->branches[i + 1];
    qsort(sorted, count, sizeof *sorted, by_parent_and_weight);
    for (size_t i = count; i-- > 0;) {
        struct call_branch *branch = sorted[i];
        struct call_branch *parent = &tree->branches[branch->parent];

        if ((double)branch->total < least || branch->total == 0) {
            tree->has_left_out |= branch->total > 0 && branch->frame != NULL;
            continue;
        }
        branch->next = parent->first_child;
        parent->first_child = (uint32_t)(branch - tree->branches);
    }
    free(sorted);
    for (size_t i = 0; i < tree->count; i++) {
        const struct call_branch *child = &tree->branches[tree->branches[i].first_child];

        if (child->frame == NULL && child->next == 0)
            tree->branches[i].first_child = 0;
    }
    return 0;
}

uint32_t call_tree_next(const struct call_tree *tree, uint32_t index)
{
    if (tree->branches[index].first_child != 0)
        return tree->branches[index].first_child;
    while (index != 0 && tree->branches[index].next == 0)
        index = tree->branches[index].parent;
    return tree->branches[index].next;
}

/* ---- the whole ---- */

static int build(struct builder *builder, double min_percent)
{
    const struct stacks *stacks = builder->stacks;
    struct call_tree *tree = builder->tree;
    int status = add_branch(tree, 0, stacks->nodes[0].frame) != NULL ? 0 : -1;

    builder->branches = calloc(stacks->count, sizeof *builder->branches);
    if (builder->branches == NULL)
        return -1;
    builder->shows_all = !has_program(builder);
    for (uint32_t i = stacks_next(stacks, 0); status == 0 && i != 0; i = stacks_next(stacks, i))
        status = place_node(builder, i);
    if (status < 0)
        return -1;
    add_up(tree);
    if (add_selves(tree) < 0)
        return -1;
    return link_children(tree, (double)tree->branches[0].total * min_percent / 100);
}

int call_tree_build(struct call_tree *tree, const struct stacks *stacks,
                    const struct format_options *options, double min_percent, struct error *err)
{
    struct builder builder = {.tree = tree, .stacks = stacks, .options = options};
    int status;

    *tree = (struct call_tree){0};
    status = build(&builder, min_percent);
    free(builder.branches);
    keymap_fini(&builder.frames);
    keymap_fini(&builder.children);
    return status < 0 ? error_set(err, "out of memory") : 0;
}

void call_tree_fini(struct call_tree *tree)
{
    free(tree->branches);
    *tree = (struct call_tree){0};
}
