#include "analyzer/trace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/trace_walk.h"
#include "formats/error.h"
#include "formats/trace/crc32c.h"

#define NS_PER_SECOND 1000000000u

/* --- Opening --- */

static int open_regular(struct trace_file *file, struct error *err)
{
    struct stat st;

    file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file->fd < 0 || fstat(file->fd, &st) < 0)
        return error_set(err, "%s: %s", file->path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return error_set(err, "%s: is a directory, not a trace", file->path);
    if (!S_ISREG(st.st_mode))
        return error_set(err, "%s: not a regular file; a trace cannot be read from a pipe",
                         file->path);
    file->size = (uint64_t)st.st_size;
    return 0;
}

static int check_header(struct trace_file *file, const uint8_t *page, struct error *err)
{
    const struct trace_header *header = &file->header;

    if (!trace_read_header(page, &file->header))
        return error_set(err, "%s: not a trace (it does not begin with the magic of one)",
                         file->path);
    if (header->crc !=
        crc32c(0, page + TRACE_HEADER_MARK, TRACE_HEADER_CHECKED_END - TRACE_HEADER_MARK))
        return error_set(err, "%s: offset %d: the checksum of the file header is wrong", file->path,
                         TRACE_HEADER_CRC);
    if (header->read_version > TRACE_READ_VERSION)
        return error_set(err,
                         "%s: needs a reader of trace version %u, this one reads up to version %d",
                         file->path, header->read_version, TRACE_READ_VERSION);
    if (header->tick_shift > TRACE_TICK_SHIFT_MAX)
        return error_set(err, "%s: offset %d: a tick shift of %u is out of range", file->path,
                         TRACE_HEADER_TICK_SHIFT, header->tick_shift);
    if (header->clock > TRACE_CLOCK_TSC)
        return error_set(err, "%s: offset %d: unknown clock %u", file->path, TRACE_HEADER_CLOCK,
                         header->clock);
    return 0;
}

static void name_mark(struct trace_file *file)
{
    for (int i = 0; i < TRACE_MARK_SIZE; i++) {
        file->mark[2 * i] = "0123456789abcdef"[file->header.mark[i] >> 4];
        file->mark[2 * i + 1] = "0123456789abcdef"[file->header.mark[i] & 15];
    }
}

static int read_header(struct trace_file *file, struct error *err)
{
    uint8_t page[TRACE_HEADER_CHECKED_END] = {0};

    if (file->size == 0)
        return error_set(err, "%s: the file is empty", file->path);
    ssize_t got = trace_pread(file->fd, page, sizeof page, 0);
    if (got < 0)
        return error_set(err, "%s: %s", file->path, strerror(errno));
    size_t magic = (size_t)got < TRACE_MAGIC_SIZE ? (size_t)got : TRACE_MAGIC_SIZE;
    if ((size_t)got < sizeof page && memcmp(page, TRACE_MAGIC, magic) == 0)
        return error_set(err, "%s: cut off inside the file header, at %zd bytes", file->path, got);
    if (check_header(file, page, err) < 0)
        return -1;
    name_mark(file);
    /* What recorders change while they write; a file may end before it. */
    size_t shared = TRACE_HEADER_STOP + 4 - TRACE_HEADER_END;
    if (trace_pread(file->fd, page, shared, TRACE_HEADER_END) == (ssize_t)shared) {
        file->end = trace_get_u64(page);
        file->stop = trace_get_u32(page + (TRACE_HEADER_STOP - TRACE_HEADER_END));
    }
    return 0;
}

/* Space that was promised and not to be had is behind the end of what was stopped, and only there.
 */
static void note_missing(struct trace_file *file)
{
    if (!file->stop && !file->damage.cut && file->end > file->size)
        file->damage.missing = file->end - file->size;
}

/* --- Order --- */

#define COMPARE(a, b, field)                                                                       \
    if ((a)->field != (b)->field)                                                                  \
    return (a)->field < (b)->field ? -1 : 1

static int compare_keys(const struct trace_chunk *a, const struct trace_chunk *b)
{
    COMPARE(a, b, kind);
    COMPARE(a, b, process);
    COMPARE(a, b, thread);
    COMPARE(a, b, sequence);
    return 0;
}

/* Of chunks with the same key the one to keep comes first. */
static int compare_chunks(const void *a, const void *b)
{
    const struct trace_chunk *x = a, *y = b;
    int order = compare_keys(x, y);

    if (order)
        return order;
    if (x->sealed != y->sealed)
        return x->sealed ? -1 : 1;
    COMPARE(x, y, offset);
    return 0;
}

static bool is_duplicate(const struct trace_chunk *kept, const struct trace_chunk *chunk)
{
    return chunk->kind != TRACE_SOURCE && chunk->kind != TRACE_RUN &&
           compare_keys(kept, chunk) == 0;
}

static void order_chunks(struct trace_file *file)
{
    size_t kept = 0;

    if (file->chunk_count)
        qsort(file->chunks, file->chunk_count, sizeof *file->chunks, compare_chunks);
    for (size_t i = 0; i < file->chunk_count; i++) {
        struct trace_chunk *chunk = &file->chunks[i];
        if (kept && is_duplicate(&file->chunks[kept - 1], chunk)) {
            free(chunk->kept);
            file->damage.duplicates++;
            continue;
        }
        file->chunks[kept++] = *chunk;
    }
    file->chunk_count = kept;
}

static bool begins_thread(const struct trace_file *file, size_t first, size_t i)
{
    const struct trace_chunk *chunk = &file->chunks[i];

    return i == first || chunk[-1].process != chunk->process || chunk[-1].thread != chunk->thread;
}

static int find_threads(struct trace_file *file, struct error *err)
{
    size_t first, count = trace_file_chunks(file, TRACE_EVENTS, &first), threads = 0;

    if (count == 0) /* a trace has one or the other */
        count = trace_file_chunks(file, TRACE_SAMPLES, &first);

    for (size_t i = first; i < first + count; i++)
        threads += begins_thread(file, first, i);
    file->threads = calloc(threads + 1, sizeof *file->threads);
    if (!file->threads)
        return error_set(err, "%s: out of memory", file->path);
    for (size_t i = first; i < first + count; i++) {
        if (begins_thread(file, first, i))
            file->threads[file->thread_count++] = (struct trace_thread){
                .process = file->chunks[i].process,
                .thread = file->chunks[i].thread,
                .first = i,
            };
        file->threads[file->thread_count - 1].count++;
    }
    return 0;
}

/* --- The clock (TRACE.md section 7) --- */

void trace_note_anchor(struct trace_file *file, uint64_t ticks, uint64_t monotonic)
{
    if (ticks <= file->last_ticks)
        return;
    file->last_ticks = ticks;
    file->last_monotonic = monotonic;
}

static void note_end_records(struct trace_file *file, const struct trace_buffer *buffer)
{
    struct trace_cursor cur = trace_cursor_over(buffer->bytes, buffer->size);
    struct trace_record record;

    while (trace_next_record(&cur, &record)) {
        if (record.kind != TRACE_FACT_END)
            continue;
        trace_read_varint(&record.fields); /* how */
        trace_read_varint(&record.fields); /* status */
        uint64_t ticks = trace_read_varint(&record.fields);
        uint64_t monotonic = trace_read_varint(&record.fields);
        if (record.fields.status == TRACE_OK)
            trace_note_anchor(file, ticks, monotonic);
    }
}

static int find_last_anchor(struct trace_file *file, struct error *err)
{
    struct trace_buffer buffer = {0};
    size_t first, count = trace_file_chunks(file, TRACE_FACTS, &first);
    int status = 0;

    for (size_t i = first; status == 0 && i < first + count; i++) {
        status = trace_file_read(file, &file->chunks[i], &buffer, err);
        if (status == 0)
            note_end_records(file, &buffer);
    }
    trace_buffer_free(&buffer);
    return status;
}

static void set_clock(struct trace_file *file)
{
    const struct trace_header *header = &file->header;
    uint64_t rate = header->tick_rate ? header->tick_rate : NS_PER_SECOND;
    uint64_t num = 1, den = 1;

    if (header->clock == TRACE_CLOCK_TSC) {
        uint64_t ticks = file->last_ticks > header->ticks ? file->last_ticks - header->ticks : 0;
        uint64_t ns =
            file->last_monotonic > header->monotonic ? file->last_monotonic - header->monotonic : 0;
        bool measured = ticks > 0 && ticks >= rate / 1000 && ns > 0;
        num = measured ? ns : NS_PER_SECOND;
        den = measured ? ticks : rate;
    }
    clock_init(&file->clock, header->ticks, num, den, header->tick_shift);
}

struct trace_file *trace_file_open(const char *path, struct error *err)
{
    struct trace_file *file = calloc(1, sizeof *file);

    if (!file || !(file->path = strdup(path))) {
        free(file);
        error_set(err, "%s: out of memory", path);
        return NULL;
    }
    file->fd = -1;
    if (open_regular(file, err) < 0 || read_header(file, err) < 0 || trace_walk(file, err) < 0)
        goto failed;
    note_missing(file);
    order_chunks(file);
    if (find_threads(file, err) < 0 || find_last_anchor(file, err) < 0)
        goto failed;
    set_clock(file);
    return file;
failed:
    trace_file_close(file);
    return NULL;
}

void trace_file_close(struct trace_file *file)
{
    if (!file)
        return;
    for (size_t i = 0; i < file->chunk_count; i++)
        free(file->chunks[i].kept);
    if (file->fd >= 0)
        close(file->fd);
    free(file->chunks);
    free(file->threads);
    free(file->path);
    free(file);
}

/* --- Looking up and reading --- */

/* How many chunks come before the key. */
static size_t lower_bound(const struct trace_file *file, const struct trace_chunk *key)
{
    size_t low = 0, high = file->chunk_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_keys(&file->chunks[middle], key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t trace_file_chunks(const struct trace_file *file, uint32_t kind, size_t *first)
{
    *first = lower_bound(file, &(struct trace_chunk){.kind = kind});
    return lower_bound(file, &(struct trace_chunk){.kind = kind + 1}) - *first;
}

const struct trace_chunk *trace_file_stack(const struct trace_file *file,
                                           const struct trace_chunk *chunk)
{
    struct trace_chunk key = *chunk;

    key.kind = TRACE_STACK;
    size_t at = lower_bound(file, &key);
    if (at == file->chunk_count || compare_keys(&file->chunks[at], &key) != 0)
        return NULL;
    return &file->chunks[at];
}

ssize_t trace_pread(int fd, void *bytes, size_t size, uint64_t offset)
{
    size_t done = 0;

    while (done < size) {
        ssize_t got = pread(fd, (uint8_t *)bytes + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

int trace_buffer_reserve(struct trace_buffer *buffer, uint64_t size)
{
    if (size <= buffer->room)
        return 0;
    if (size > SIZE_MAX / 2)
        return -1;
    uint8_t *grown = realloc(buffer->bytes, (size_t)size);
    if (!grown)
        return -1;
    buffer->bytes = grown;
    buffer->room = (size_t)size;
    return 0;
}

int trace_file_read(const struct trace_file *file, const struct trace_chunk *chunk,
                    struct trace_buffer *buffer, struct error *err)
{
    if (trace_buffer_reserve(buffer, chunk->size + 1) < 0 || !buffer->bytes)
        return error_set(err, "%s: offset %llu: out of memory for a chunk of %llu bytes",
                         file->path, (unsigned long long)chunk->offset,
                         (unsigned long long)chunk->size);
    buffer->size = (size_t)chunk->size;
    if (chunk->kept) {
        memcpy(buffer->bytes, chunk->kept, buffer->size);
        return 0;
    }
    ssize_t got = trace_pread(file->fd, buffer->bytes, buffer->size, chunk->offset);
    if (got < 0)
        return error_set(err, "%s: offset %llu: %s", file->path, (unsigned long long)chunk->offset,
                         strerror(errno));
    memset(buffer->bytes + got, 0, buffer->size - (size_t)got);
    return 0;
}

bool trace_file_is_unsealed(const struct trace_file *file, const struct trace_chunk *chunk)
{
    uint8_t head[TRACE_CHUNK_PAYLOAD];

    return trace_pread(file->fd, head, sizeof head, chunk->offset - sizeof head) ==
               (ssize_t)sizeof head &&
           !(trace_get_u32(head + TRACE_CHUNK_FLAGS) & TRACE_FLAG_SEALED) &&
           trace_get_u64(head + TRACE_CHUNK_SEQUENCE) == chunk->sequence &&
           memcmp(head + TRACE_CHUNK_MARK, file->header.mark, TRACE_MARK_SIZE) == 0;
}

void trace_buffer_free(struct trace_buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct trace_buffer){0};
}
