#include "analyzer/sums.h"

#include <string.h>

#include "analyzer/facts.h"
#include "analyzer/model.h"
#include "analyzer/statements.h"

#define FIRST_TABLE 2
#define TABLE_MAX (1u << 31)
#define SPARSE 4 /* a table may be this many times as large as full, to keep lines apart ... */
#define SPARSE_NODES 4096 /* ... in the first so many contexts */

enum by_id_kind { BY_ID_MODEL, BY_ID_UNKNOWN, BY_ID_C };

/* --- Keys --- */

static struct index_key line_key(const void *item)
{
    const struct sums_line *line = item;

    return (struct index_key){(uintptr_t)line->function, line->line};
}

static struct index_key node_key(const void *item)
{
    const struct sums_node *node = item;

    return (struct index_key){node->parent, (uintptr_t)node->function};
}

static struct index_key edge_key(const void *item)
{
    const struct sums_edge *edge = item;

    return (struct index_key){(uintptr_t)edge->caller, (uintptr_t)edge->callee};
}

static struct index_key entry_key(const void *item)
{
    const struct sums_entry *entry = item;

    return (struct index_key){(uintptr_t)entry->caller, (uintptr_t)entry->function};
}

/* --- Functions --- */

static struct sums_function *new_function(struct sums *sums)
{
    struct sums_function *function = arena_take(&sums->arena, sizeof *function);

    if (!function)
        return NULL;
    function->id = MODEL_NONE;
    function->file = MODEL_NONE;
    function->next = sums->all_functions;
    sums->all_functions = function;
    return function;
}

static bool is_named(const struct sums_function *function, struct trace_bytes name)
{
    return function->c_name.size == name.size &&
           memcmp(function->c_name.at, name.at, name.size) == 0;
}

/* C functions are told apart by name: strings of one text may have several numbers. */
static struct sums_function *c_function(struct sums *sums, uint64_t string)
{
    struct trace_bytes name;

    if (!facts_string(sums->facts, sums->process, string, &name))
        name = (struct trace_bytes){(const uint8_t *)"<unknown>", 9};
    void **slot = map_put(&sums->by_id, BY_ID_C, model_hash(name));
    for (struct sums_function *function = slot ? *slot : NULL; function;
         function = function->same_hash)
        if (is_named(function, name))
            return function;
    struct sums_function *function = slot ? new_function(sums) : NULL;
    if (!function)
        return NULL;
    function->is_c = true;
    function->c_name = name;
    function->same_hash = *slot;
    *slot = function;
    return function;
}

static struct sums_function *unknown_function(struct sums *sums)
{
    void **slot = map_put(&sums->by_id, BY_ID_UNKNOWN, 0);

    if (slot && !*slot) {
        struct sums_function *function = *slot = new_function(sums);
        if (function) {
            function->is_unknown = true;
            function->excluded = sums->model->unknown_excluded;
        }
    }
    return slot ? *slot : NULL;
}

/* So that no frame gets to SUMS_NO_LINE. */
static int64_t clamp_line(int64_t line)
{
    return line < -SUMS_LINE_FAR ? -SUMS_LINE_FAR : line > SUMS_LINE_FAR ? SUMS_LINE_FAR : line;
}

static struct sums_function *code_function(struct sums *sums, const struct facts_code *code)
{
    void **slot = map_put(&sums->by_id, BY_ID_MODEL, code->id);

    if (slot && !*slot) {
        struct sums_function *function = *slot = new_function(sums);
        if (function) {
            const struct model_function model = model_function(sums->model, code->id);
            function->id = code->id;
            function->file = model.file;
            function->first_line = clamp_line(model.first_line);
            function->excluded = model.excluded;
        }
    }
    return slot ? *slot : NULL;
}

static struct sums_function *make_function(struct sums *sums, uint64_t key)
{
    if (key & 1)
        return c_function(sums, key >> 1);
    const struct facts_code *code = facts_code(sums->facts, sums->process, key >> 1);
    if (code)
        return code_function(sums, code);
    sums->unknown_codes += key != SUMS_UNKNOWN_KEY;
    return unknown_function(sums);
}

struct sums_function *sums_function(struct sums *sums, uint64_t key)
{
    struct sums_function *function = map_get(&sums->functions, key, 0);

    if (function)
        return function;
    function = make_function(sums, key);
    void **slot = function ? map_put(&sums->functions, key, 0) : NULL;
    if (!slot)
        return NULL;
    *slot = function;
    return function;
}

/* --- Lines --- */

static struct sums_line *new_line(struct sums *sums, struct sums_function *function, uint32_t line)
{
    struct sums_line *at = slab_add(&sums->lines, &sums->arena);

    if (!at)
        return NULL;
    at->function = function;
    at->file = function ? function->file : MODEL_NONE;
    at->line = line;
    at->statement = statements_first_line(sums->statements, at->file, line);
    return at;
}

/* Files are told apart by id; C functions and unknown code are in two of their own. */
static uint64_t file_key(const struct sums_function *function)
{
    return function->is_c ? (uint64_t)MODEL_NONE + 1 : function->file;
}

/* A second function has the line. What its one function had so far is what the (file, line) had. */
static int share_line(struct sums *sums, struct sums_line *first, struct sums_line *second)
{
    if (!first->file_line) {
        struct sums_line *both = arena_take(&sums->arena, sizeof *both);
        if (!both)
            return -1;
        *both = *first;
        both->function = NULL;
        both->next = NULL;
        first->file_line = both;
        sums->held_shared += both->held > 0;
    }
    second->file_line = first->file_line;
    return 0;
}

static struct sums_line *make_line(struct sums *sums, struct sums_function *function, uint32_t line)
{
    struct sums_line *at = new_line(sums, function, line);
    void **slot = at ? map_put(&sums->file_lines, file_key(function), line) : NULL;

    if (!slot)
        return NULL;
    if (!*slot)
        *slot = at;
    else if (share_line(sums, *slot, at) < 0)
        return NULL;
    at->next = sums->all_lines;
    sums->all_lines = at;
    return at;
}

static struct sums_line *find_line(struct sums *sums, struct sums_function *function, uint32_t line)
{
    struct sums_line *at = index_get(&sums->line_index, (uintptr_t)function, line);

    if (at)
        return at;
    at = make_line(sums, function, line);
    return at && index_add_last(&sums->line_index) == 0 ? at : NULL;
}

/* --- Cells --- */

static unsigned size_class(uint32_t room)
{
    return (unsigned)__builtin_ctz(room);
}

/* Tables that were outgrown serve smaller contexts. */
static struct sums_cell **new_table(struct sums *sums, uint32_t room)
{
    struct sums_table **spare = &sums->spare[size_class(room)];
    struct sums_cell **table = (struct sums_cell **)*spare;

    if (*spare)
        *spare = (*spare)->next;
    else
        table = arena_take(&sums->arena, room * sizeof *table);
    for (uint32_t i = 0; table && i < room; i++)
        table[i] = &sums->nowhere;
    return table;
}

static void give_back(struct sums *sums, struct sums_cell **table, uint32_t room)
{
    struct sums_table *spare = (struct sums_table *)table;

    spare->next = sums->spare[size_class(room)];
    sums->spare[size_class(room)] = spare;
}

static void place_cell(struct sums_node *node, struct sums_cell *cell)
{
    uint32_t i = (uint32_t)cell->line & node->mask;

    while (node->table[i]->line != SUMS_NO_LINE)
        i = (i + 1) & node->mask;
    node->table[i] = cell;
}

static int grow_table(struct sums *sums, struct sums_node *node)
{
    if (node->mask >= TABLE_MAX - 1)
        return -1;
    struct sums_cell **bigger = new_table(sums, 2 * (node->mask + 1));

    if (!bigger)
        return -1;
    struct sums_node outgrown = *node;
    struct sums_cell *cell;
    node->table = bigger;
    node->mask = 2 * node->mask + 1;
    for (uint64_t i = 0; (cell = sums_next_cell(&outgrown, &i));)
        place_cell(node, cell);
    give_back(sums, outgrown.table, outgrown.mask + 1);
    return 0;
}

/* Three quarters full, or two lines in one place while there is space to spare. */
static bool is_crowded(const struct sums *sums, const struct sums_node *node, uint32_t line)
{
    uint64_t room = (uint64_t)node->mask + 1;

    if (4 * ((uint64_t)node->count + 1) > 3 * room)
        return true;
    return node->table[line & node->mask]->line != SUMS_NO_LINE &&
           sums->nodes.count < SPARSE_NODES && room < SPARSE * ((uint64_t)node->count + 1);
}

static struct sums_cell *add_cell(struct sums *sums, struct sums_node *node, struct sums_line *at)
{
    struct sums_cell *cell = arena_take(&sums->arena, sizeof *cell);

    if (!cell)
        return NULL;
    cell->at = at;
    cell->line = at->line;
    while (is_crowded(sums, node, at->line))
        if (grow_table(sums, node) < 0)
            return NULL;
    place_cell(node, cell);
    node->count++;
    return cell;
}

struct sums_cell *sums_find_cell(struct sums *sums, struct sums_node *node, uint32_t line)
{
    uint32_t i = line & node->mask;

    for (; node->table[i]->line != SUMS_NO_LINE; i = (i + 1) & node->mask)
        if (node->table[i]->line == line)
            return node->table[i];
    struct sums_line *at = find_line(sums, node->function, line);
    return at ? add_cell(sums, node, at) : NULL;
}

/* --- Contexts --- */

static struct sums_node *new_node(struct sums *sums, struct sums_function *function)
{
    struct sums_node *node = slab_add(&sums->nodes, &sums->arena);

    if (!node || !(node->table = new_table(sums, FIRST_TABLE)))
        return NULL;
    node->mask = FIRST_TABLE - 1;
    node->number = sums->nodes.count - 1;
    node->function = function;
    return node;
}

static void hang_node(const struct sums *sums, struct sums_node *node,
                      const struct sums_node *parent)
{
    const struct sums_node *jump = sums_node(sums, parent->jump);
    bool even = parent->depth - jump->depth == jump->depth - sums_node(sums, jump->jump)->depth;

    node->parent = parent->number;
    node->depth = parent->depth + 1;
    node->jump = even ? jump->jump : parent->number;
}

static bool is_on_path(const struct sums *sums, const struct sums_node *ancestor,
                       const struct sums_node *node)
{
    while (node->depth > ancestor->depth) {
        const struct sums_node *jump = sums_node(sums, node->jump);
        node = jump->depth >= ancestor->depth ? jump : sums_node(sums, node->parent);
    }
    return node == ancestor;
}

/* A function is on the path to a context just if the context of its topmost activation is: had the
 * stack since come back to an earlier function of that path, the path would have lost it, and only
 * a new activation would bring it back. */
static struct sums_node *find_node(struct sums *sums, const struct sums_node *parent,
                                   struct sums_function *function)
{
    if (function->top && is_on_path(sums, function->top, parent))
        return function->top;
    struct sums_node *node = index_get(&sums->node_index, parent->number, (uintptr_t)function);
    if (node)
        return node;
    node = new_node(sums, function);
    if (!node)
        return NULL;
    hang_node(sums, node, parent);
    return index_add_last(&sums->node_index) == 0 ? node : NULL;
}

/* A second line of the caller has the callee. What its one line had so far is what both had. */
static int share_edge(struct sums *sums, struct sums_edge *first, struct sums_edge *second)
{
    if (!first->pair) {
        struct sums_edge *both = arena_take(&sums->arena, sizeof *both);
        if (!both)
            return -1;
        *both = *first;
        both->active = first->active > 0;
        both->next = sums->all_pairs;
        sums->all_pairs = both;
        first->pair = both;
    }
    second->pair = first->pair;
    return 0;
}

static struct sums_edge *make_edge(struct sums *sums, struct sums_line *caller,
                                   struct sums_function *callee)
{
    struct sums_edge *edge = slab_add(&sums->edges, &sums->arena);
    void **slot =
        edge ? map_put(&sums->pairs, (uintptr_t)caller->function, (uintptr_t)callee) : NULL;

    if (!slot)
        return NULL;
    *edge = (struct sums_edge){.caller = caller, .callee = callee, .next = sums->all_edges};
    if (!*slot)
        *slot = edge;
    else if (share_edge(sums, *slot, edge) < 0)
        return NULL;
    sums->all_edges = edge;
    return edge;
}

static struct sums_edge *find_edge(struct sums *sums, struct sums_line *caller,
                                   struct sums_function *callee)
{
    struct sums_edge *edge = index_get(&sums->edge_index, (uintptr_t)caller, (uintptr_t)callee);

    if (edge)
        return edge;
    edge = make_edge(sums, caller, callee);
    return edge && index_add_last(&sums->edge_index) == 0 ? edge : NULL;
}

static struct sums_entry *make_entry(struct sums *sums, struct sums_cell *caller,
                                     const struct sums_node *node, struct sums_function *function)
{
    struct sums_entry *entry = slab_add(&sums->entries, &sums->arena);

    if (!entry)
        return NULL;
    *entry =
        (struct sums_entry){.function = function, .caller = caller, .caller_node = node->number};
    if (!function->excluded) {
        entry->node = find_node(sums, node, function);
        entry->edge = find_edge(sums, caller->at, function);
        if (!entry->node || !entry->edge)
            return NULL;
    }
    return index_add_last(&sums->entry_index) == 0 ? entry : NULL;
}

/* Several code objects can be one function, and then their calls from one place are one entry. */
struct sums_entry *sums_find_entry(struct sums *sums, struct sums_cell *caller,
                                   const struct sums_node *node, uint64_t key)
{
    struct sums_function *function = sums_function(sums, key);

    if (!function)
        return NULL;
    struct sums_entry *entry =
        index_get(&sums->entry_index, (uintptr_t)caller, (uintptr_t)function);
    if (!entry)
        entry = make_entry(sums, caller, node, function);
    if (!entry)
        return NULL;
    entry->key = key;
    caller->last = entry;
    sums->recent[sums_recent_place(caller, key)] = entry;
    return entry;
}

/* --- All --- */

int sums_init(struct sums *sums, const struct facts *facts, struct model *model, uint32_t process)
{
    *sums = (struct sums){
        .facts = facts,
        .model = model,
        .statements = model->statements,
        .process = process,
        .lines = {.size = sizeof(struct sums_line)},
        .edges = {.size = sizeof(struct sums_edge)},
        .nodes = {.size = sizeof(struct sums_node)},
        .entries = {.size = sizeof(struct sums_entry)},
        .line_index = {.items = &sums->lines, .key_of = line_key},
        .edge_index = {.items = &sums->edges, .key_of = edge_key},
        .node_index = {.items = &sums->nodes, .key_of = node_key},
        .entry_index = {.items = &sums->entries, .key_of = entry_key},
        .nowhere = {.line = SUMS_NO_LINE},
    };
    sums->nowhere_at = &sums->nowhere;
    sums->lineless.table = &sums->nowhere_at;
    struct sums_function *nobody = arena_take(&sums->arena, sizeof *nobody);
    struct sums_line *nowhere = new_line(sums, NULL, 0);
    sums->root = nobody && nowhere ? new_node(sums, nobody) : NULL;
    if (!sums->root)
        return -1;
    sums->outside = add_cell(sums, sums->root, nowhere);
    return sums->outside ? 0 : -1;
}

void sums_fini(struct sums *sums)
{
    map_fini(&sums->functions);
    map_fini(&sums->by_id);
    map_fini(&sums->file_lines);
    map_fini(&sums->pairs);
    index_fini(&sums->line_index);
    index_fini(&sums->edge_index);
    index_fini(&sums->node_index);
    index_fini(&sums->entry_index);
    slab_fini(&sums->lines);
    slab_fini(&sums->edges);
    slab_fini(&sums->nodes);
    slab_fini(&sums->entries);
    arena_fini(&sums->arena);
}

uint64_t sums_memory(const struct sums *sums)
{
    const struct map *maps[] = {&sums->functions, &sums->by_id, &sums->file_lines, &sums->pairs};
    const struct index *indexes[] = {&sums->line_index, &sums->edge_index, &sums->node_index,
                                     &sums->entry_index};
    const struct slab *slabs[] = {&sums->lines, &sums->edges, &sums->nodes, &sums->entries};
    uint64_t memory = sums->arena.total;

    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        memory += maps[i]->room * sizeof *maps[i]->entries;
    for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++)
        memory += indexes[i]->room * sizeof *indexes[i]->places;
    for (size_t i = 0; i < sizeof slabs / sizeof *slabs; i++)
        memory += slabs[i]->room * sizeof *slabs[i]->blocks;
    return memory;
}
