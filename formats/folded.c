/* folded.c - one line a stack, "frame;frame;frame weight": what flamegraph.pl, speedscope and
 * inferno read.
 *
 * Weights are whole numbers (nanoseconds or hits): speedscope drops others. A frame never ends in a
 * digit, which flamegraph.pl would take for a second weight.
 */
#include <string.h>

#include "formats/catalog.h"
#include "formats/error.h"
#include "formats/format.h"
#include "formats/output.h"
#include "formats/stacks.h"
#include "formats/text.h"

/* Cuts the path to the frames of the node's ancestors and adds its own. */
static int extend_path(struct text *path, size_t *ends, const struct stacks_node *node)
{
    path->size = node->depth == 1 ? 0 : ends[node->depth - 1];
    if (node->depth > 1)
        text_add_string(path, ";");
    text_add_string(path, node->frame->text);
    ends[node->depth] = path->size;
    return path->failed ? -1 : 0;
}

static int write_stacks(const struct stacks *stacks, struct output *out, struct error *err)
{
    struct text path = {0};
    size_t *ends;
    struct pool pool = {0};
    uint32_t deepest = 0;
    int status = 0;

    for (size_t i = 0; i < stacks->count; i++)
        deepest = stacks->nodes[i].depth > deepest ? stacks->nodes[i].depth : deepest;
    ends = pool_alloc(&pool, (deepest + 1) * sizeof *ends);
    if (ends == NULL)
        status = -1;
    for (uint32_t i = stacks_next(stacks, 0); i != 0 && status == 0; i = stacks_next(stacks, i)) {
        const struct stacks_node *node = &stacks->nodes[i];

        status = extend_path(&path, ends, node);
        if (status == 0 && node->self > 0) {
            output_write(out, path.at, path.size);
            output_text(out, " ");
            output_uint(out, node->self);
            output_text(out, "\n");
        }
    }
    text_fini(&path);
    pool_fini(&pool);
    return status < 0 ? error_set(err, "out of memory") : 0;
}

static int folded_write(sqlite3 *db, const struct format_options *options, struct output *out,
                        struct error *err)
{
    struct catalog *catalog = catalog_load(db, err);
    struct stacks *stacks = NULL;
    int status = -1;

    if (catalog == NULL)
        return -1;
    stacks = stacks_load(db, catalog, options, stacks_by_text, err);
    if (stacks != NULL)
        status = write_stacks(stacks, out, err);
    stacks_free(stacks);
    catalog_free(catalog);
    return status;
}

/* Text whose first line ends in a space and a number; of a line that is cut, one with several
 * frames. */
static bool folded_recognize(const unsigned char *head, int size)
{
    const unsigned char *end = size > 0 ? memchr(head, '\n', (size_t)size) : NULL;
    int at = end == NULL ? size : (int)(end - head);
    int length = at;

    for (int i = 0; i < size; i++)
        if (head[i] < ' ' && head[i] != '\n')
            return false;
    if (end == NULL)
        return size > 0 && memchr(head, ';', (size_t)size) != NULL;
    while (at > 0 && head[at - 1] >= '0' && head[at - 1] <= '9')
        at--;
    return at > 0 && at < length && head[at - 1] == ' ';
}

static const char *const suffixes[] = {".folded", ".collapsed", NULL};

extern const struct format format_folded;
const struct format format_folded = {
    .name = "folded",
    .suffixes = suffixes,
    .summary = "stacks, one a line, for flamegraph.pl and inferno",
    .heeds = FORMAT_HEEDS_WEIGHT,
    .recognize = folded_recognize,
    .write = folded_write,
    .advise = format_advise_whole,
};
