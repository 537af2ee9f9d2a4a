#include "analyzer/trace_walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "analyzer/grow.h"
#include "analyzer/trace_file.h"
#include "formats/error.h"
#include "formats/trace/crc32c.h"

#define WINDOW (256u * 1024) /* bytes that are read and checked at a time */
#define REREADS 16           /* how often a growing file is followed to its new end */
#define WASTE_FACTOR                                                                               \
    8 /* checksums of damaged chunks may cost this many passes over the file ...                   \
       */
#define WASTE_FREE (1u << 23)   /* ... and that many bytes */
#define EVENTS_MAX (1ull << 39) /* no thread has so many; a header may say anything */
#define WALK_STOPPED (-2)       /* not damage: an error was reported */

struct walk {
    struct trace_file *file;
    struct error *err;
    uint64_t at;                /* the position looked at */
    struct trace_buffer window; /* bytes of the file ... */
    uint64_t window_at;         /* ... from here */
    size_t room;                /* of file->chunks */
    uint64_t wasted;            /* bytes under checksums that were wrong */
    bool damaged;               /* the page before was damaged too */
};

static int fail_io(struct walk *walk)
{
    error_set(walk->err, "%s: offset %llu: %s", walk->file->path, (unsigned long long)walk->at,
              errno ? strerror(errno) : "cannot read");
    return WALK_STOPPED;
}

static int fail_memory(struct walk *walk)
{
    error_set(walk->err, "%s: offset %llu: out of memory", walk->file->path,
              (unsigned long long)walk->at);
    return WALK_STOPPED;
}

/* The bytes from `offset` on: *there of them, at least `size` (at most WINDOW) but for the end of
 * the file. NULL: an error was reported. */
static const uint8_t *look(struct walk *walk, uint64_t offset, size_t size, size_t *there)
{
    uint64_t end = walk->window_at + walk->window.size;

    if (offset < walk->window_at || offset + size > end) {
        ssize_t got = trace_pread(walk->file->fd, walk->window.bytes, WINDOW, offset);
        if (got < 0) {
            fail_io(walk);
            return NULL;
        }
        walk->window_at = offset;
        walk->window.size = (size_t)got;
        end = offset + (uint64_t)got;
    }
    *there = (size_t)(end - offset);
    return walk->window.bytes + (offset - walk->window_at);
}

/* Headers that overlap could each ask for a checksum of all the rest. Damage costs a pass over its
 * own length. */
static int waste(struct walk *walk, uint64_t bytes)
{
    walk->wasted += bytes;
    if (walk->wasted / WASTE_FACTOR <= walk->file->size + WASTE_FREE)
        return 0;
    error_set(walk->err,
              "%s: offset %llu: too much of the file is damaged to tell its chunks apart",
              walk->file->path, (unsigned long long)walk->at);
    return WALK_STOPPED;
}

/* 1: the checksum is right, 0: it is not. */
static int check_crc(struct walk *walk, const struct trace_chunk_header *header,
                     const uint8_t *head)
{
    uint32_t crc = crc32c(0, head + TRACE_CHUNK_KIND, TRACE_CHUNK_PAYLOAD - TRACE_CHUNK_KIND);
    uint64_t offset = walk->at + TRACE_CHUNK_PAYLOAD, left = header->length;
    size_t there;

    while (left) {
        const uint8_t *bytes = look(walk, offset, 1, &there);
        if (!bytes)
            return WALK_STOPPED;
        if (there == 0)
            return 0;
        uint64_t part = there < left ? there : left;
        crc = crc32c(crc, bytes, (size_t)part);
        offset += part;
        left -= part;
    }
    return crc == header->crc ? 1 : waste(walk, header->length);
}

/* --- Taking chunks --- */

static struct trace_chunk *new_chunk(struct walk *walk)
{
    struct trace_file *file = walk->file;
    struct trace_chunk *grown =
        grow_array(file->chunks, file->chunk_count, &walk->room, sizeof *grown);

    if (!grown)
        return NULL;
    file->chunks = grown;
    return &file->chunks[file->chunk_count];
}

/* The payload of an unsealed chunk as it is now; zeros at its end say nothing that a reader of it
 * would not know. */
static int keep_payload(struct walk *walk, struct trace_chunk *chunk)
{
    uint8_t *bytes = malloc((size_t)chunk->size + 1);

    if (!bytes)
        return fail_memory(walk);
    ssize_t got = trace_pread(walk->file->fd, bytes, (size_t)chunk->size, chunk->offset);
    if (got < 0) {
        free(bytes);
        return fail_io(walk);
    }
    chunk->kept = bytes;
    chunk->size = (uint64_t)got;
    return 0;
}

/* The chunk with this header, whose payload stands at `offset`. */
static int add_chunk(struct walk *walk, const struct trace_chunk_header *header, uint64_t offset,
                     uint64_t size, bool sealed)
{
    struct trace_chunk *chunk = new_chunk(walk);

    if (!chunk)
        return fail_memory(walk);
    *chunk = (struct trace_chunk){
        .offset = offset,
        .size = size,
        .sequence = header->sequence,
        .ticks = header->ticks,
        .events_before = header->events_before < EVENTS_MAX ? header->events_before : EVENTS_MAX,
        .cpu = header->cpu,
        .kind = header->kind,
        .process = header->process,
        .thread = header->thread,
        .sealed = sealed,
        .stack_apart = header->flags & TRACE_FLAG_STACK_APART,
    };
    if (!sealed && keep_payload(walk, chunk) < 0)
        return WALK_STOPPED;
    walk->file->chunk_count++;
    return 0;
}

/* One that ends at `end`. */
static int add_whole(struct walk *walk, const struct trace_chunk_header *header, uint64_t end)
{
    bool sealed = header->flags & TRACE_FLAG_SEALED && end == walk->at + header->capacity;
    uint64_t offset = walk->at + TRACE_CHUNK_PAYLOAD;

    trace_note_anchor(walk->file, header->ticks, header->monotonic);
    return add_chunk(walk, header, offset, sealed ? header->length : end - offset, sealed);
}

static bool is_known_kind(uint32_t kind)
{
    return (kind >= TRACE_RUN && kind <= TRACE_SOURCE) || kind == TRACE_SAMPLES;
}

/* A chunk that is whole, or was cut: keeps it if this version knows what it is. */
static int take_chunk(struct walk *walk, const struct trace_chunk_header *header, uint64_t end)
{
    if (is_known_kind(header->kind) && header->encoding == TRACE_ENCODING_RAW)
        return add_whole(walk, header, end);
    if (is_known_kind(header->kind) || header->kind & TRACE_CHUNK_OPTIONAL) {
        walk->file->damage.unknown++;
        return 0;
    }
    error_set(walk->err,
              "%s: offset %llu: a chunk of kind %u, which this version must know and does not",
              walk->file->path, (unsigned long long)walk->at, header->kind);
    return WALK_STOPPED;
}

/* The header of the chunk that may begin at walk->at, and its bytes. 1: read; 0: there is none. */
static int read_header(struct walk *walk, uint8_t head[TRACE_CHUNK_PAYLOAD],
                       struct trace_chunk_header *header)
{
    size_t there;

    const uint8_t *bytes = look(walk, walk->at, TRACE_CHUNK_PAYLOAD, &there);
    if (!bytes)
        return WALK_STOPPED;
    if (there < TRACE_CHUNK_PAYLOAD)
        return 0;
    memcpy(head, bytes, TRACE_CHUNK_PAYLOAD);
    return trace_read_chunk_header(head, walk->file->header.mark, header) ? 1 : 0;
}

/* The chunk that may stand at walk->at in the PACK chunk with this header, which ends at `limit`.
 * 1: taken, and walk->at is behind it; 0: there is none. */
static int take_packed(struct walk *walk, struct trace_chunk_header header, uint64_t limit)
{
    uint64_t most = limit - walk->at, offset;
    size_t there;

    if (most > TRACE_PACKED_HEADER_MAX)
        most = TRACE_PACKED_HEADER_MAX;
    const uint8_t *bytes = look(walk, walk->at, (size_t)most, &there);
    if (!bytes)
        return WALK_STOPPED;
    struct trace_cursor cur = trace_cursor_over(bytes, there < most ? there : (size_t)most);
    if (!trace_read_packed_header(&cur, &header))
        return 0;
    offset = walk->at + (uint64_t)(cur.at - bytes);
    if (header.length > limit - offset)
        return 0;
    walk->at = offset + header.length;
    return add_chunk(walk, &header, offset, header.length, true) < 0 ? WALK_STOPPED : 1;
}

/* The chunks in a PACK chunk, up to the first that is not there. */
static int take_pack(struct walk *walk, const struct trace_chunk_header *header, uint64_t end)
{
    uint64_t start = walk->at;
    int taken = 1;

    trace_note_anchor(walk->file, header->ticks, header->monotonic);
    walk->at += TRACE_CHUNK_PAYLOAD;
    while (taken == 1)
        taken = take_packed(walk, *header, end);
    walk->at = start;
    return taken;
}

/* A cut chunk goes on until a page begins with the mark, at the latest up to the end. */
static int find_cut(struct walk *walk, uint64_t *end)
{
    size_t there;

    *end = walk->at + TRACE_PAGE;
    for (; *end < walk->file->size; *end += TRACE_PAGE) {
        const uint8_t *bytes = look(walk, *end, TRACE_MARK_SIZE, &there);
        if (!bytes)
            return WALK_STOPPED;
        if (there >= TRACE_MARK_SIZE &&
            memcmp(bytes, walk->file->header.mark, TRACE_MARK_SIZE) == 0)
            return 0;
    }
    *end = walk->file->size;
    return 0;
}

static bool fits(const struct trace_chunk_header *header)
{
    return header->capacity >= TRACE_PAGE && header->capacity % TRACE_PAGE == 0 &&
           header->length <= header->capacity - TRACE_CHUNK_PAYLOAD;
}

/* Looks at the chunk that may begin at walk->at. 1: taken, and *end is behind it; 0: none that is
 * right. */
static int try_chunk(struct walk *walk, uint64_t *end)
{
    struct trace_chunk_header header;
    uint8_t head[TRACE_CHUNK_PAYLOAD];
    int right = read_header(walk, head, &header);

    if (right != 1 || !fits(&header))
        return right == 1 ? 0 : right;
    if (header.capacity > walk->file->size - walk->at) {
        walk->file->damage.cut = true;
        if (find_cut(walk, end) < 0)
            return WALK_STOPPED;
    } else {
        *end = walk->at + header.capacity;
        right = header.flags & TRACE_FLAG_SEALED ? check_crc(walk, &header, head) : 1;
        if (right != 1)
            return right;
    }
    if (header.kind == TRACE_PACK && header.encoding == TRACE_ENCODING_RAW)
        return take_pack(walk, &header, *end) < 0 ? WALK_STOPPED : 1;
    return take_chunk(walk, &header, *end) < 0 ? WALK_STOPPED : 1;
}

/* --- Passing over what is no chunk --- */

static bool is_zero(const uint8_t *bytes, size_t size)
{
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static int pass_page(struct walk *walk, uint64_t *end)
{
    struct trace_damage *damage = &walk->file->damage;
    size_t there;

    const uint8_t *bytes = look(walk, walk->at, TRACE_PAGE, &there);
    if (!bytes)
        return WALK_STOPPED;
    if (there > TRACE_PAGE)
        there = TRACE_PAGE;
    *end = walk->at + TRACE_PAGE;
    if (is_zero(bytes, there)) {
        walk->damaged = false;
        return 0;
    }
    if (damage->places == 0)
        damage->first_offset = walk->at;
    damage->places += !walk->damaged;
    damage->bytes += there;
    walk->damaged = true;
    return 0;
}

static int walk_on(struct walk *walk)
{
    while (walk->at < walk->file->size) {
        uint64_t end = walk->at + TRACE_PAGE;
        int taken = try_chunk(walk, &end);
        if (taken == WALK_STOPPED || (taken == 0 && pass_page(walk, &end) < 0))
            return -1;
        if (taken == 1)
            walk->damaged = false;
        walk->at = end;
    }
    return 0;
}

/* What was copied away from a slot after the slot was passed stands behind the end that was known
 * then. */
static int follow_growth(struct walk *walk)
{
    struct stat st;

    for (int i = 0; i < REREADS && walk->at == walk->file->size; i++) {
        if (fstat(walk->file->fd, &st) < 0 || (uint64_t)st.st_size <= walk->file->size)
            break;
        walk->file->size = (uint64_t)st.st_size / TRACE_PAGE * TRACE_PAGE;
        if (walk_on(walk) < 0)
            return -1;
    }
    return 0;
}

int trace_walk(struct trace_file *file, struct error *err)
{
    struct walk walk = {.file = file, .err = err, .at = TRACE_PAGE};
    int status = -1;

    if (trace_buffer_reserve(&walk.window, WINDOW) < 0) {
        error_set(err, "%s: out of memory", file->path);
        return -1;
    }
    if (walk_on(&walk) == 0 && follow_growth(&walk) == 0)
        status = 0;
    trace_buffer_free(&walk.window);
    return status;
}
