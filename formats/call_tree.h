/* call_tree.h - the frames of a profile as a tree to be read: what a library does inside is folded
 * into the frame by which it was entered, and what is small is left out.
 *
 * A frame of the program is a branch. So is one of a library that the program calls, with what it
 * weighs together with the library's other frames below it; what those call of the program is a
 * branch again. A frame is the program's if --file has it or, without --file, if its file is.
 */
#ifndef FORMATS_CALL_TREE_H
#define FORMATS_CALL_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct format_options;
struct stacks;
struct stacks_frame;

struct call_branch {
    const struct stacks_frame *frame; /* NULL: what the branch above it weighs itself */
    uint32_t parent;                  /* smaller than its own index; of the root: 0 */
    uint32_t first_child, next;       /* heaviest first; 0: none */
    uint32_t folded;                  /* how many frames are folded into it */
    uint64_t self;                    /* with theirs */
    uint64_t total;
};

struct call_tree {
    struct call_branch *branches; /* owned; branches[0] is the root */
    size_t count, room;
    bool has_folded, has_left_out;
};

/* Builds it from stacks, which must outlive it. Branches below `min_percent` of the whole are left
 * out. -1 with *err set; call_tree_fini() is due in any case. */
int call_tree_build(struct call_tree *tree, const struct stacks *stacks,
                    const struct format_options *options, double min_percent, struct error *err);
void call_tree_fini(struct call_tree *tree);

/* The branch that comes after `index` when every branch comes before its children, and those before
 * its next sibling; 0 after the last. */
uint32_t call_tree_next(const struct call_tree *tree, uint32_t index);

#endif
