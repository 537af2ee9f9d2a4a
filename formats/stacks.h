/* stacks.h - a profile as one tree of frames with weights: what folded stacks and flame graphs are
 * drawn from.
 *
 * The calling-context trees of the threads, merged into one (or each below a frame of its thread).
 * A frame is a function, or with `lines` a function at a line: the frame of a caller then names the
 * line, or lines, from which the callee was entered. Frames of the import machinery are left out;
 * their weight belongs to the line that imports.
 */
#ifndef FORMATS_STACKS_H
#define FORMATS_STACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "formats/pool.h"

struct catalog;
struct catalog_function;
struct error;
struct format_options;

struct stacks_frame {
    const char *text; /* printable, without ';', never ending in a digit */
    const struct catalog_function
        *function; /* NULL: a thread, the root, or what is said in brackets */
    int64_t line;  /* with `lines`, if it is one line; else 0 */
};

struct stacks_node {
    const struct stacks_frame *frame;
    uint32_t parent;            /* smaller than its own index; of node 0, the root: 0 */
    uint32_t depth;             /* 0: the root */
    uint32_t first_child, next; /* 0: none */
    uint64_t self;              /* weight of the frame itself */
    uint64_t total;             /* and of what is above it */
    uint64_t calls;
};

struct stacks {
    struct stacks_node *nodes; /* nodes[0] is the root, "all" */
    size_t count;
    size_t room;
    struct pool pool; /* owns frames and texts */
};

/* Children in the order of their text. */
int stacks_by_text(const struct stacks_node *left, const struct stacks_node *right);

/* Heaviest children first. */
int stacks_by_weight(const struct stacks_node *left, const struct stacks_node *right);

/* Reads the tree, weights and kind of frames as options ask, children in the given order. NULL with
 * *err set on failure. The catalog must outlive it. */
struct stacks *stacks_load(sqlite3 *db, const struct catalog *catalog,
                           const struct format_options *options,
                           int (*order)(const struct stacks_node *, const struct stacks_node *),
                           struct error *err);
void stacks_free(struct stacks *stacks);

/* The node that comes after `index` when every node comes before its children, and those before its
 * next sibling; 0 after the last. */
uint32_t stacks_next(const struct stacks *stacks, uint32_t index);

/* The same, with the children of `index` left out. */
uint32_t stacks_skip(const struct stacks *stacks, uint32_t index);

#endif
