/* sums.h - what one thread did, summed.
 *
 * The finest grain is the cell: (calling context, line). Beside the cells stand the counters of
 * what cannot be summed from them, because recursion would count twice: cumulative times of
 * functions, lines, edges and contexts. Those are kept by counting how many activations on the
 * stack are at each ("active", "held"): whoever brings the count back to zero adds the time since
 * it entered.
 *
 * Times are ns of the thread's own clock, which stands still in gaps; `_wait` the part not spent on
 * a processor. All of it lives in one arena; nothing moves and nothing is freed before the end.
 * There may be 10^5 contexts, each with a few cells and ways into it: those three are kept small.
 */
#ifndef ANALYZER_SUMS_H
#define ANALYZER_SUMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/arena.h"
#include "analyzer/index.h"
#include "analyzer/map.h"
#include "analyzer/slab.h"
#include "formats/trace/decode.h"

struct facts;
struct model;
struct statements;

/* A function, on this thread. */
struct sums_function {
    struct sums_node *top; /* context of its topmost activation; NULL: not on the stack */
    int64_t first_line;
    uint64_t primitive_calls, primitive_resumes;
    uint64_t calls, resumes; /* these five only once the thread is settled */
    uint64_t hits;
    int64_t self, wait;
    int64_t cumulative, cumulative_wait;
    struct trace_bytes c_name; /* of a C function */
    uint32_t id;               /* in the model; MODEL_NONE: C function or unknown code */
    uint32_t file;             /* in the model */
    bool is_c, is_unknown;
    bool excluded; /* its frames are transparent */
    bool is_used;  /* sums_prune()'s */
    struct sums_function *same_hash;
    struct sums_function *next; /* all of them, newest first */
};

/* A (function, line), or a (file, line) that several functions have. Its cumulative time is the
 * self time of all its cells, less `nested`, plus `below`. */
struct sums_line {
    struct sums_function *function; /* NULL: the root */
    struct sums_line *file_line;    /* the (file, line), if it is shared */
    int64_t nested,
        nested_wait; /* self time while a lower frame was at this line too: in `below` already */
    int64_t below, below_wait; /* calls from here, while no lower frame was here */
    uint32_t line;
    uint32_t file;
    uint32_t statement; /* the line that its statement begins with */
    bool counted;       /* for the totals */
    uint64_t held;      /* frames below the top that are here */
    uint64_t inner;     /* of its hits, those that came from another line of the statement */
    uint64_t hits;      /* of all its cells; these three only once the thread is settled */
    int64_t self, wait;
    struct sums_line *next;
};

static inline int64_t sums_line_cumulative(const struct sums_line *line)
{
    return line->self - line->nested + line->below;
}

static inline int64_t sums_line_cumulative_wait(const struct sums_line *line)
{
    return line->wait - line->nested_wait + line->below_wait;
}

/* The line of no cell, which no frame ever is at either. */
#define SUMS_NO_LINE INT64_MIN
#define SUMS_LINE_FAR (INT64_MAX / 4) /* lines go no farther than this, whatever a file says */

/* The grain: one line in one context. */
struct sums_cell {
    uint64_t hits;
    int64_t self, wait;
    struct sums_line *at;
    struct sums_entry *last; /* the last one used of the entries from here */
    int64_t line;            /* 0 to 2^31-1, or SUMS_NO_LINE */
};

/* A calling context. */
struct sums_node {
    struct sums_cell **table; /* cells by line: at line & mask, or found by probing on */
    uint32_t mask;
    uint32_t count;
    struct sums_function *function; /* the root has one with no name and no lines */
    int64_t cumulative, cumulative_wait;
    uint32_t number; /* in order of creation: parents first, and the root is 0 */
    uint32_t parent; /* its number; the root's is its own */
    uint32_t jump;   /* that of an ancestor, so that any can be reached in a logarithm of steps */
    uint32_t depth;
    uint32_t active;
    uint32_t rank; /* among those that have a row in the database, from 1; 0: it has none. Only once
                      the thread is settled */
};

/* (caller function, line) -> callee; or caller function -> callee, if it is called from several
 * lines: that has no outer time and no hits of its own. */
struct sums_edge {
    struct sums_line *caller;
    struct sums_function *callee;
    struct sums_edge *pair; /* the latter; NULL: there is but this line */
    uint64_t active;        /* activations; of the latter, edges that are active */
    uint64_t primitive_calls, primitive_resumes;
    uint64_t calls, resumes; /* of the latter, as `self`, only once the thread is settled */
    int64_t self, self_wait;
    int64_t cumulative, cumulative_wait, outer, outer_wait;
    uint64_t cumulative_hits, outer_hits;
    struct sums_edge *next;
};

/* One way into a context: (caller cell, code) -> node. */
struct sums_entry {
    uint64_t key; /* sums_code_key() or sums_c_key(), as last used */
    struct sums_function *function;
    struct sums_node *node; /* NULL: the function is excluded */
    struct sums_edge *edge;
    struct sums_cell *caller;
    uint64_t calls, resumes;
    int64_t cumulative, cumulative_wait;
    uint32_t active;
    uint32_t caller_node; /* number of the caller's context */
};

/* The entries found last, each at a place that follows from its cell and key: a line that calls
 * several functions is common. */
#define SUMS_RECENT 512

/* A table of cells that is in no use. */
struct sums_table {
    struct sums_table *next;
};

struct sums {
    const struct facts *facts;           /* borrowed */
    struct model *model;                 /* borrowed */
    const struct statements *statements; /* borrowed; NULL: every line is one */
    uint32_t process;
    struct arena arena;
    struct slab lines, edges, nodes, entries;
    struct map functions;         /* by code key */
    struct map by_id;             /* by id in the model, or by kind */
    struct map file_lines;        /* by file and line: the first function's line */
    struct map pairs;             /* by caller and callee: the first line's edge */
    struct index line_index;      /* by function and line */
    struct index edge_index;      /* by caller line and callee */
    struct index node_index;      /* by parent and function */
    struct index entry_index;     /* by caller cell and callee */
    struct sums_table *spare[32]; /* by the logarithm of their size */
    struct sums_entry *recent[SUMS_RECENT];
    struct sums_cell nowhere;     /* stands in the empty places of tables */
    struct sums_cell *nowhere_at; /* the table of ... */
    struct sums_node lineless;    /* ... a context that has no lines, and never gets one */
    struct sums_node *root;       /* number 0 */
    struct sums_cell *outside;    /* the root's one cell */
    struct sums_function *all_functions;
    struct sums_line *all_lines; /* of functions */
    struct sums_edge *all_edges;
    struct sums_edge *all_pairs;
    uint64_t first_context; /* the row of the context of rank 0; this and ... */
    uint32_t context_count; /* ... how many have a rank only once the thread is settled */
    bool is_pruned;
    uint64_t held_shared;   /* (file, line)s that several functions have and frames below the top
                               are at */
    uint64_t unknown_codes; /* code numbers that no fact defines */
};

/* 0, or -1: no memory. In any case sums_fini() frees. */
int sums_init(struct sums *sums, const struct facts *facts, struct model *model, uint32_t process);
void sums_fini(struct sums *sums);

/* Bytes that they hold. */
uint64_t sums_memory(const struct sums *sums);

static inline uint64_t sums_code_key(uint64_t code)
{
    return code << 1;
}

static inline uint64_t sums_c_key(uint64_t string)
{
    return string << 1 | 1;
}

/* Code 0 is no code: the function <unknown>. */
#define SUMS_UNKNOWN_KEY 0

/* The function behind a key. NULL: no memory, as with all below. */
struct sums_function *sums_function(struct sums *sums, uint64_t key);

/* The slow ways of the two functions below. */
struct sums_cell *sums_find_cell(struct sums *sums, struct sums_node *node, uint32_t line);
struct sums_entry *sums_find_entry(struct sums *sums, struct sums_cell *caller,
                                   const struct sums_node *node, uint64_t key);

/* Takes out of the lists what was seen outside of windows only: functions, lines and edges without
 * any figure, and such contexts get no rank. The sums are settled but for the ranks. */
void sums_prune(struct sums *sums);

/* This context stays, whatever its figures. */
void sums_mark(const struct sums *sums, struct sums_node *node);

/* Gives those contexts their ranks that stay, which are all unless the sums were pruned; the first
 * gets the row `first` + 1. */
void sums_rank(struct sums *sums, uint64_t first);

/* Has the entry a row, if its contexts have? */
bool sums_entry_counts(const struct sums *sums, const struct sums_entry *entry);

static inline struct sums_node *sums_node(const struct sums *sums, uint32_t number)
{
    return slab_at(&sums->nodes, number);
}

static inline struct sums_entry *sums_entry_at(const struct sums *sums, uint32_t number)
{
    return slab_at(&sums->entries, number);
}

/* The context's row in the database. */
static inline int64_t sums_context_row(const struct sums *sums, const struct sums_node *node)
{
    return (int64_t)(sums->first_context + node->rank);
}

/* The cells of a context one by one, in the order of its table: begin with *i 0. NULL: no more. */
static inline struct sums_cell *sums_next_cell(const struct sums_node *node, uint64_t *i)
{
    while (*i <= node->mask) {
        struct sums_cell *cell = node->table[(*i)++];
        if (cell->line != SUMS_NO_LINE)
            return cell;
    }
    return NULL;
}

/* The cell of a line of a context. */
static inline struct sums_cell *sums_cell(struct sums *sums, struct sums_node *node, uint32_t line)
{
    struct sums_cell *cell = node->table[line & node->mask];

    return __builtin_expect(cell->line == line, 1) ? cell : sums_find_cell(sums, node, line);
}

static inline size_t sums_recent_place(const struct sums_cell *caller, uint64_t key)
{
    return ((uintptr_t)caller / sizeof *caller + key) % SUMS_RECENT;
}

/* The way from a cell into the context of what it calls, if it was used not long ago; or NULL. */
static inline struct sums_entry *sums_recent_entry(const struct sums *sums,
                                                   struct sums_cell *caller, uint64_t key)
{
    struct sums_entry *entry = caller->last;

    if (__builtin_expect(entry && entry->key == key, 1))
        return entry;
    entry = sums->recent[sums_recent_place(caller, key)];
    if (!entry || entry->caller != caller || entry->key != key)
        return NULL;
    caller->last = entry;
    return entry;
}

/* The way from a cell of a context into the context of what it calls. */
static inline struct sums_entry *sums_entry(struct sums *sums, struct sums_cell *caller,
                                            const struct sums_node *node, uint64_t key)
{
    struct sums_entry *entry = sums_recent_entry(sums, caller, key);

    return entry ? entry : sums_find_entry(sums, caller, node, key);
}

#endif
