#include "formats/stacks.h"

#include <stdlib.h>
#include <string.h>

#include "formats/catalog.h"
#include "formats/error.h"
#include "formats/format.h"
#include "formats/keymap.h"
#include "formats/names.h"
#include "formats/query.h"
#include "formats/text.h"

enum { DEPTH_MAX = 1000, ENTRY_LINES_MAX = 3 };

/* A calling context as it is read. */
struct context {
    int64_t id;
    const struct catalog_function *function; /* NULL: a thread's root */
    size_t parent;                           /* index, smaller than its own */
    int64_t thread_id;
    uint32_t base; /* node below which its own frames stand */
    uint32_t
        node; /* of functions: its frame; of the import machinery: the frame that imports; else 0 */
    bool is_folded; /* import machinery, `node` takes its weight */
    uint32_t entry_count;
    int64_t entries[ENTRY_LINES_MAX]; /* lines of the parent from which it was entered, ascending */
};

struct builder {
    sqlite3 *db;
    const struct catalog *catalog;
    const struct format_options *options;
    struct stacks *stacks;
    struct error *err;
    struct context *contexts; /* ascending by id */
    size_t context_count;
    struct keymap children; /* (parent, frame) -> node */
    struct names names;     /* of frames, and their numbers */
    const struct stacks_frame **frames;
    size_t frame_count;
    size_t frame_room;
    struct text text;
};

/* ---- frames and nodes ---- */

static int add_frame(struct builder *builder, const struct catalog_function *function, int64_t line)
{
    struct stacks_frame *frame = pool_alloc(&builder->stacks->pool, sizeof *frame);

    if (frame == NULL)
        return -1;
    if (builder->frame_count == builder->frame_room) {
        size_t room = builder->frame_room == 0 ? 256 : builder->frame_room * 2;
        const struct stacks_frame **frames =
            realloc(builder->frames, room * sizeof(struct stacks_frame *));

        if (frames == NULL)
            return -1;
        builder->frames = frames;
        builder->frame_room = room;
    }
    *frame = (struct stacks_frame){builder->names.texts[builder->frame_count], function, line};
    builder->frames[builder->frame_count++] = frame;
    return 0;
}

/* The number of the frame called builder->text, made on its first use; -1: out of memory. Frames
 * are told apart by text alone: what a flame graph's reader cannot tell apart is one frame. */
static int64_t intern_frame(struct builder *builder, const struct catalog_function *function,
                            int64_t line)
{
    struct text *text = &builder->text;
    int64_t number;

    if (text->failed)
        return -1;
    for (size_t i = 0; i < text->size; i++)
        if (text->at[i] == ';')
            text->at[i] = ':';
    number = names_number(&builder->names, text->at, text->size);
    if (number == (int64_t)builder->frame_count && add_frame(builder, function, line) < 0)
        return -1;
    return number;
}

static int64_t plain_frame(struct builder *builder, const char *text)
{
    text_clear(&builder->text);
    text_add_string(&builder->text, text);
    return intern_frame(builder, NULL, 0);
}

static int64_t function_frame(struct builder *builder, const struct catalog_function *function,
                              const int64_t *lines, uint32_t count)
{
    struct text *text = &builder->text;

    text_clear(text);
    text_add_format(text, "%s (%s", function->qualname, function->file->shown);
    for (uint32_t i = 0; i < count && i < ENTRY_LINES_MAX; i++)
        text_add_format(text, "%c%lld", i == 0 ? ':' : ',', (long long)lines[i]);
    text_add_string(text, count > ENTRY_LINES_MAX ? ",…)" : ")");
    return intern_frame(builder, function, count == 1 ? lines[0] : 0);
}

static struct stacks_node *new_node(struct stacks *stacks)
{
    if (stacks->count == stacks->room) {
        size_t room = stacks->room == 0 ? 256 : stacks->room * 2;
        struct stacks_node *nodes =
            room > UINT32_MAX ? NULL : realloc(stacks->nodes, room * sizeof *nodes);

        if (nodes == NULL)
            return NULL;
        stacks->nodes = nodes;
        stacks->room = room;
    }
    stacks->nodes[stacks->count] = (struct stacks_node){0};
    return &stacks->nodes[stacks->count++];
}

/* The child of `parent` with that frame, made on its first use; 0: out of memory. */
static uint32_t child_node(struct builder *builder, uint32_t parent, int64_t frame)
{
    struct stacks *stacks = builder->stacks;
    struct keymap_slot *slot;

    if (frame < 0)
        return 0;
    if (stacks->nodes[parent].depth >= DEPTH_MAX)
        return parent;
    if (stacks->nodes[parent].depth == DEPTH_MAX - 1) {
        frame = plain_frame(builder, "[deeper frames]");
        if (frame < 0)
            return 0;
    }
    slot = keymap_slot(&builder->children, (uint64_t)parent << 32 | (uint32_t)frame);
    if (slot != NULL && slot->value == 0) {
        struct stacks_node *node = new_node(stacks);

        if (node == NULL)
            return 0;
        node->frame = builder->frames[frame];
        node->parent = parent;
        node->depth = stacks->nodes[parent].depth + 1;
        slot->value = (uint32_t)(stacks->count - 1);
    }
    return slot == NULL ? 0 : slot->value;
}

static int start_root(struct builder *builder)
{
    int64_t frame = plain_frame(builder, "all");
    struct stacks_node *root = frame < 0 ? NULL : new_node(builder->stacks);

    if (root == NULL)
        return -1;
    root->frame = builder->frames[frame];
    return 0;
}

/* ---- reading contexts ---- */

static struct context *find_context(const struct builder *builder, int64_t id)
{
    size_t low = 0, high = builder->context_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (builder->contexts[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < builder->context_count && builder->contexts[low].id == id ? &builder->contexts[low]
                                                                           : NULL;
}

static int damaged(const struct builder *builder, int64_t id)
{
    return error_set(builder->err,
                     "the database is damaged: context %lld has no parent or function",
                     (long long)id);
}

static int load_context(struct builder *builder, struct query *query)
{
    struct context *context = &builder->contexts[builder->context_count];

    *context = (struct context){.id = query_int(query, 0), .thread_id = query_int(query, 2)};
    if (!query_is_null(query, 1)) {
        const struct context *parent = find_context(builder, query_int(query, 1));

        context->function = catalog_function(builder->catalog, query_int(query, 3));
        if (parent == NULL || context->function == NULL)
            return damaged(builder, context->id);
        context->parent = (size_t)(parent - builder->contexts);
    }
    builder->context_count++;
    return 0;
}

static int load_contexts(struct builder *builder)
{
    struct query query;
    uint64_t count;
    int status = 0;

    if (query_number(builder->db, "SELECT count(*) FROM contexts", &count, builder->err) < 0)
        return -1;
    builder->contexts = calloc(count + 1, sizeof *builder->contexts);
    if (builder->contexts == NULL)
        return error_set(builder->err, "out of memory");
    query = query_open(
        builder->db,
        "SELECT context_id, parent_id, thread_id, function_id FROM contexts ORDER BY context_id",
        builder->err);
    while (status == 0 && builder->context_count < count && query_next(&query))
        status = load_context(builder, &query);
    return query_close(&query) < 0 ? -1 : status;
}

/* From which lines of its parent each context was entered. */
static int load_entries(struct builder *builder)
{
    struct query query =
        query_open(builder->db,
                   "SELECT DISTINCT e.context_id, e.caller_line FROM context_edges e "
                   "JOIN contexts c ON c.context_id = e.context_id "
                   "WHERE e.caller_context_id = c.parent_id AND e.caller_line IS NOT NULL "
                   "ORDER BY e.context_id, e.caller_line",
                   builder->err);

    while (query_next(&query)) {
        struct context *context = find_context(builder, query_int(&query, 0));

        if (context == NULL)
            continue;
        if (context->entry_count < ENTRY_LINES_MAX)
            context->entries[context->entry_count] = query_int(&query, 1);
        context->entry_count++;
    }
    return query_close(&query);
}

/* ---- placing contexts in the tree ---- */

static bool is_import_machinery(const struct context *context)
{
    static const char prefix[] = "<frozen importlib";

    return context->function != NULL &&
           strncmp(context->function->file->raw_path, prefix, sizeof prefix - 1) == 0;
}

static uint32_t thread_node(struct builder *builder, int64_t thread_id)
{
    struct query query = query_open(
        builder->db, "SELECT name, native_id FROM threads WHERE thread_id = ?1", builder->err);
    uint32_t node = 0;
    size_t size;

    query_bind(&query, 1, thread_id);
    if (query_next(&query)) {
        const char *name = query_text(&query, 0, &size);

        text_clear(&builder->text);
        text_add_printable(&builder->text, name, size);
        text_add_format(&builder->text, " [%lld]", (long long)query_int(&query, 1));
        node = child_node(builder, 0, intern_frame(builder, NULL, 0));
    }
    return query_close(&query) < 0 ? 0 : node;
}

/* With lines: the frame of the parent at the lines from which the context was entered. */
static uint32_t entry_node(struct builder *builder, const struct context *context)
{
    const struct context *parent = &builder->contexts[context->parent];

    return child_node(
        builder, parent->base,
        function_frame(builder, parent->function, context->entries, context->entry_count));
}

static uint32_t own_node(struct builder *builder, const struct context *context)
{
    int64_t line = context->function->first_line;

    if (context->function->is_outside)
        return child_node(builder, context->base,
                          plain_frame(builder, context->function->qualname));
    return child_node(builder, context->base, function_frame(builder, context->function, &line, 1));
}

static int place_root(struct builder *builder, struct context *context)
{
    if (!builder->options->per_thread)
        return 0;
    context->base = context->node = thread_node(builder, context->thread_id);
    return context->node == 0 ? -1 : 0;
}

static int place(struct builder *builder, struct context *context)
{
    const struct context *parent = &builder->contexts[context->parent];

    if (context->function == NULL)
        return place_root(builder, context);
    context->is_folded = parent->function != NULL && is_import_machinery(context);
    if (builder->options->lines && parent->function != NULL && !parent->is_folded)
        context->base = entry_node(builder, context);
    else
        context->base = parent->node;
    if (context->is_folded)
        context->node = context->base;
    else if (!builder->options->lines)
        context->node = own_node(builder, context);
    if (context->base == 0 && parent->function != NULL)
        return -1;
    return context->node == 0 && !builder->options->lines ? -1 : 0;
}

static int place_all(struct builder *builder)
{
    int status = 0;

    for (size_t i = 0; status == 0 && i < builder->context_count; i++)
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): stacks_load() frees the contexts. */
        status = place(builder, &builder->contexts[i]);
    return status < 0 ? error_set(builder->err, "out of memory") : 0;
}

/* ---- weights ---- */

/* Each gives: context, line, weight, calls. */
static const char *weights_sql(const struct format_options *options)
{
    static const char *const by_function[] = {
        [FORMAT_WEIGHT_SELF] =
            "SELECT context_id, 0, self_ns, calls FROM contexts ORDER BY context_id",
        [FORMAT_WEIGHT_CPU] =
            "SELECT context_id, 0, self_cpu_ns, calls FROM contexts ORDER BY context_id",
        [FORMAT_WEIGHT_HITS] =
            "SELECT c.context_id, 0, coalesce(l.hits, 0), c.calls FROM contexts c LEFT JOIN "
            "(SELECT context_id, SUM(hits) AS hits FROM context_lines GROUP BY context_id) l "
            "ON l.context_id = c.context_id ORDER BY c.context_id",
    };
    static const char *const by_line[] = {
        [FORMAT_WEIGHT_SELF] =
            "SELECT context_id, line, self_ns, 0 FROM context_lines UNION ALL "
            "SELECT context_id, 0, self_ns, 0 FROM contexts WHERE parent_id IS NULL ORDER BY 1, 2",
        [FORMAT_WEIGHT_CPU] =
            "SELECT context_id, line, self_cpu_ns, 0 FROM context_lines UNION ALL "
            "SELECT context_id, 0, self_cpu_ns, 0 FROM contexts WHERE parent_id IS NULL ORDER BY "
            "1, 2",
        [FORMAT_WEIGHT_HITS] = "SELECT context_id, line, hits, 0 FROM context_lines ORDER BY 1, 2",
    };

    return options->lines ? by_line[options->weight] : by_function[options->weight];
}

/* The node that a row's weight goes to; 0: out of memory. */
static uint32_t weighed_node(struct builder *builder, const struct context *context, int64_t line)
{
    if (context->function == NULL)
        return child_node(builder, context->base, plain_frame(builder, "<outside>"));
    if (context->is_folded || !builder->options->lines)
        return context->node;
    return child_node(builder, context->base, function_frame(builder, context->function, &line, 1));
}

static int weigh(struct builder *builder)
{
    struct query query = query_open(builder->db, weights_sql(builder->options), builder->err);
    struct stacks *stacks = builder->stacks;
    int status = 0;

    while (status == 0 && query_next(&query)) {
        const struct context *context = find_context(builder, query_int(&query, 0));
        uint64_t weight = query_sum(&query, 2), calls = query_sum(&query, 3);
        uint32_t node;

        if (context == NULL || weight + calls == 0)
            continue;
        node = weighed_node(builder, context, query_int(&query, 1));
        if (node == 0) {
            status = error_set(builder->err, "out of memory");
        } else {
            stacks->nodes[node].self += weight;
            stacks->nodes[node].calls += context->is_folded ? 0 : calls;
        }
    }
    for (size_t i = stacks->count; i > 0; i--) {
        stacks->nodes[i - 1].total += stacks->nodes[i - 1].self;
        if (i > 1)
            stacks->nodes[stacks->nodes[i - 1].parent].total += stacks->nodes[i - 1].total;
    }
    return query_close(&query) < 0 ? -1 : status;
}

/* ---- order ---- */

int stacks_by_text(const struct stacks_node *left, const struct stacks_node *right)
{
    return strcmp(left->frame->text, right->frame->text);
}

int stacks_by_weight(const struct stacks_node *left, const struct stacks_node *right)
{
    if (left->total != right->total)
        return left->total < right->total ? 1 : -1;
    return stacks_by_text(left, right);
}

struct ordered {
    const struct stacks_node *node;
    int (*order)(const struct stacks_node *, const struct stacks_node *);
};

static int by_parent_and_order(const void *a, const void *b)
{
    const struct ordered *left = a, *right = b;

    if (left->node->parent != right->node->parent)
        return left->node->parent < right->node->parent ? -1 : 1;
    return left->order(left->node, right->node);
}

/* Links each node's children in order. */
static int link_children(struct stacks *stacks,
                         int (*order)(const struct stacks_node *, const struct stacks_node *))
{
    size_t count = stacks->count - 1;
    struct ordered *sorted;

    if (stacks->count < 2)
        return 0;
    sorted = calloc(count, sizeof *sorted);
    if (sorted == NULL)
        return -1;
    for (size_t i = 0; i < count; i++)
        sorted[i] = (struct ordered){&stacks->nodes[i + 1], order};
    qsort(sorted, count, sizeof *sorted, by_parent_and_order);
    for (size_t i = count; i > 0; i--) {
        struct stacks_node *node = &stacks->nodes[sorted[i - 1].node - stacks->nodes];
        struct stacks_node *parent = &stacks->nodes[node->parent];

        node->next = parent->first_child;
        parent->first_child = (uint32_t)(node - stacks->nodes);
    }
    free(sorted);
    return 0;
}

uint32_t stacks_skip(const struct stacks *stacks, uint32_t index)
{
    while (index != 0 && stacks->nodes[index].next == 0)
        index = stacks->nodes[index].parent;
    return stacks->nodes[index].next;
}

uint32_t stacks_next(const struct stacks *stacks, uint32_t index)
{
    uint32_t child = stacks->nodes[index].first_child;

    return child != 0 ? child : stacks_skip(stacks, index);
}

/* ---- the whole ---- */

static int build(struct builder *builder)
{
    if (start_root(builder) < 0)
        return error_set(builder->err, "out of memory");
    if (load_contexts(builder) < 0 || (builder->options->lines && load_entries(builder) < 0))
        return -1;
    return place_all(builder) < 0 ? -1 : weigh(builder);
}

struct stacks *stacks_load(sqlite3 *db, const struct catalog *catalog,
                           const struct format_options *options,
                           int (*order)(const struct stacks_node *, const struct stacks_node *),
                           struct error *err)
{
    struct builder builder = {.db = db, .catalog = catalog, .options = options, .err = err};
    int status;

    builder.stacks = calloc(1, sizeof *builder.stacks);
    if (builder.stacks == NULL) {
        error_set(err, "out of memory");
        return NULL;
    }
    builder.names.pool = &builder.stacks->pool;
    status = build(&builder);
    if (status == 0 && link_children(builder.stacks, order) < 0)
        status = error_set(err, "out of memory");
    free(builder.contexts);
    keymap_fini(&builder.children);
    names_fini(&builder.names);
    free(builder.frames);
    text_fini(&builder.text);
    if (status < 0) {
        stacks_free(builder.stacks);
        return NULL;
    }
    return builder.stacks;
}

void stacks_free(struct stacks *stacks)
{
    if (stacks == NULL)
        return;
    free(stacks->nodes);
    pool_fini(&stacks->pool);
    free(stacks);
}
