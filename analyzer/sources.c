#include "analyzer/sources.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/facts.h"
#include "analyzer/grow.h"
#include "analyzer/trace_file.h"
#include "formats/error.h"
#include "formats/trace/sha256.h"

/* A piece of the text of a file. */
struct piece {
    const uint8_t *sha256; /* of the whole text; borrowed from facts */
    const struct facts_file *fact;
    const struct trace_file *file;
    const struct trace_chunk *chunk;
    uint64_t offset, total; /* in the text */
    size_t skip, size;      /* where its bytes are in the payload */
};

struct sources {
    struct piece *pieces; /* owned; by text, then file, then offset */
    size_t count, room;
};

static int compare_pieces(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    int order = memcmp(x->sha256, y->sha256, SHA256_SIZE);

    if (order)
        return order;
    if (x->fact->key.process != y->fact->key.process)
        return x->fact->key.process < y->fact->key.process ? -1 : 1;
    if (x->fact->key.number != y->fact->key.number)
        return x->fact->key.number < y->fact->key.number ? -1 : 1;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->chunk->offset < y->chunk->offset ? -1 : x->chunk->offset > y->chunk->offset;
}

static int add_piece(struct sources *sources, const struct trace_file *file,
                     const struct facts *facts, const struct trace_chunk *chunk,
                     const struct trace_buffer *buffer)
{
    struct trace_cursor cur = trace_cursor_over(buffer->bytes, buffer->size);
    uint64_t number = trace_read_varint(&cur), offset = trace_read_varint(&cur),
             total = trace_read_varint(&cur);
    const struct facts_file *fact = facts_file(facts, chunk->process, number);

    /* An unsealed piece has no length: it would be taken with the zeros behind it. */
    if (cur.status != TRACE_OK || !fact || fact->sha256.size != SHA256_SIZE || !chunk->sealed)
        return 0;
    struct piece *grown =
        grow_array(sources->pieces, sources->count, &sources->room, sizeof *grown);
    if (!grown)
        return -1;
    sources->pieces = grown;
    grown[sources->count++] = (struct piece){
        .sha256 = fact->sha256.at,
        .fact = fact,
        .file = file,
        .chunk = chunk,
        .offset = offset,
        .total = total,
        .skip = (size_t)(cur.at - buffer->bytes),
        .size = (size_t)(cur.end - cur.at),
    };
    return 0;
}

static int read_pieces(struct sources *sources, const struct trace_file *file,
                       const struct facts *facts, struct error *err)
{
    struct trace_buffer buffer = {0};
    size_t first, count = trace_file_chunks(file, TRACE_SOURCE, &first);
    int status = 0;

    for (size_t i = first; status == 0 && i < first + count; i++) {
        status = trace_file_read(file, &file->chunks[i], &buffer, err);
        if (status == 0 && add_piece(sources, file, facts, &file->chunks[i], &buffer) < 0)
            status = error_set(err, "%s: out of memory", file->path);
    }
    trace_buffer_free(&buffer);
    return status;
}

struct sources *sources_read(struct trace_file *const *files, struct facts *const *facts,
                             size_t count, struct error *err)
{
    struct sources *sources = calloc(1, sizeof *sources);

    if (!sources) {
        error_set(err, "out of memory");
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        if (read_pieces(sources, files[i], facts[i], err) < 0) {
            sources_free(sources);
            return NULL;
        }
    if (sources->count)
        qsort(sources->pieces, sources->count, sizeof *sources->pieces, compare_pieces);
    return sources;
}

void sources_free(struct sources *sources)
{
    if (!sources)
        return;
    free(sources->pieces);
    free(sources);
}

/* --- Putting together --- */

static size_t first_piece(const struct sources *sources, const uint8_t *sha256)
{
    size_t low = 0, high = sources->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(sources->pieces[middle].sha256, sha256, SHA256_SIZE) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Pieces [first, end) are of one file. Do they cover the whole text, without a hole? */
static int is_whole(const struct piece *first, const struct piece *end)
{
    uint64_t covered = 0;

    for (const struct piece *piece = first; piece < end; piece++) {
        if (piece->total != first->total || piece->offset > covered ||
            piece->size > UINT64_MAX - piece->offset)
            return 0;
        if (piece->offset + piece->size > covered)
            covered = piece->offset + piece->size;
    }
    return covered == first->total && covered < SIZE_MAX;
}

static int copy_pieces(const struct piece *first, const struct piece *end, uint8_t *text,
                       struct error *err)
{
    struct trace_buffer buffer = {0};
    int status = 0;

    for (const struct piece *piece = first; status == 0 && piece < end; piece++) {
        status = trace_file_read(piece->file, piece->chunk, &buffer, err);
        if (status == 0 && piece->size)
            memcpy(text + piece->offset, buffer.bytes + piece->skip, piece->size);
    }
    trace_buffer_free(&buffer);
    return status;
}

static uint8_t *join(const struct piece *first, const struct piece *end, size_t *size,
                     struct error *err)
{
    uint8_t digest[SHA256_SIZE];

    if (!is_whole(first, end))
        return NULL;
    uint8_t *text = malloc((size_t)first->total + 1);
    if (!text) {
        error_set(err, "%s: out of memory for a source text", first->file->path);
        return NULL;
    }
    *size = (size_t)first->total;
    if (copy_pieces(first, end, text, err) == 0) {
        sha256(text, *size, digest);
        if (memcmp(digest, first->sha256, SHA256_SIZE) == 0)
            return text;
    }
    free(text);
    return NULL;
}

/* Behind the pieces of the same file as `first`. */
static const struct piece *behind_file(const struct sources *sources, const struct piece *first)
{
    const struct piece *end = sources->pieces + sources->count, *behind = first;

    while (behind < end && behind->fact == first->fact)
        behind++;
    return behind;
}

static bool is_there(const struct sources *sources, const uint8_t *sha256)
{
    size_t at = first_piece(sources, sha256);

    while (at < sources->count && memcmp(sources->pieces[at].sha256, sha256, SHA256_SIZE) == 0) {
        const struct piece *first = &sources->pieces[at], *behind = behind_file(sources, first);
        if (is_whole(first, behind))
            return true;
        at = (size_t)(behind - sources->pieces);
    }
    return false;
}

uint64_t sources_missing(const struct sources *sources, const struct facts *facts)
{
    struct trace_bytes setting = facts_setting(facts, "source");
    size_t count;
    const struct facts_file *files = facts_files(facts, &count);
    uint64_t missing = 0;

    if (setting.size != 1 || *setting.at != '1')
        return 0;
    for (size_t i = 0; i < count; i++)
        missing += files[i].sha256.size && files[i].size && !is_there(sources, files[i].sha256.at);
    return missing;
}

uint8_t *sources_text(const struct sources *sources, struct trace_bytes sha, size_t *size,
                      struct error *err)
{
    *size = 0;
    if (sha.size != SHA256_SIZE || sources->count == 0)
        return NULL;
    const struct piece *end = sources->pieces + sources->count, *behind;
    const struct piece *first = sources->pieces + first_piece(sources, sha.at);
    for (; first < end && memcmp(first->sha256, sha.at, SHA256_SIZE) == 0; first = behind) {
        behind = behind_file(sources, first);
        uint8_t *text = join(first, behind, size, err);
        if (text)
            return text;
    }
    return NULL;
}
