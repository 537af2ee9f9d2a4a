#include "recorder/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "formats/trace/crc32c.h"
#include "formats/trace/decode.h"
#include "formats/trace/encode.h"
#include "recorder/clock.h"
#include "recorder/sink_bytes.h"
#include "recorder/sink_start.h"

/* The program's own descriptors keep the numbers they would have had. */
#define LOWEST_DESCRIPTOR 100

#define SETTINGS_LIMIT (64u << 20)

/* The shared fields of page 0 are little-endian on disk, as all machines we run on are in memory.
 */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "shared header fields are used in place");

static uint64_t *shared_u64(const struct sink *sink, enum trace_header_offset offset)
{
    return (uint64_t *)(void *)(sink->header + offset);
}

static uint32_t *shared_u32(const struct sink *sink, enum trace_header_offset offset)
{
    return (uint32_t *)(void *)(sink->header + offset);
}

/* Creating. */

int sink_create(const char *path, const struct sink_setting *settings, size_t count, char mark[33],
                char *why, size_t why_size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0664);
    int failure = fd < 0 ? errno : sink_start_write(fd, settings, count, mark);

    if (failure != 0)
        snprintf(why, why_size, "%s: %s", path, strerror(failure));
    if (failure != 0 && fd >= 0)
        unlink(path);
    if (fd >= 0)
        close(fd);
    return failure;
}

/* Opening. */

/* The descriptor `low`, which may be -1, out of the program's way. */
static int move_high(int low)
{
    int high;

    if (low < 0)
        return -1;
    high = fcntl(low, F_DUPFD_CLOEXEC, LOWEST_DESCRIPTOR);
    if (high < 0)
        return low;
    close(low);
    return high;
}

static int open_high(const char *path)
{
    return move_high(open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC));
}

static int check_header(struct sink *sink, const char *mark, char *why, size_t why_size)
{
    uint8_t page[TRACE_PAGE];
    struct trace_header header;
    char found[33];

    if (pread(sink->fd, page, sizeof page, 0) != (ssize_t)sizeof page ||
        !trace_read_header(page, &header)) {
        snprintf(why, why_size, "%s: not a trace", sink->path);
        return -1;
    }
    sink_bytes_mark(header.mark, found);
    if (strcmp(found, mark) != 0) {
        snprintf(why, why_size, "%s: the trace of another run", sink->path);
        return -1;
    }
    memcpy(sink->mark, header.mark, TRACE_MARK_SIZE);
    sink->tick_rate = header.tick_rate;
    sink->tick_shift = header.tick_shift;
    sink->clock = (enum trace_clock)header.clock;
    if (sink->tick_rate == 0 || sink->tick_shift > TRACE_TICK_SHIFT_MAX ||
        !clock_use(sink->clock)) {
        snprintf(why, why_size, "%s: its clock is not available here", sink->path);
        return -1;
    }
    return 0;
}

/* Over the descriptor `fd`, which may be -1 with errno. */
static int use_file(struct sink *sink, int fd, const char *path, const char *mark, char *why,
                    size_t why_size)
{
    struct stat st;

    memset(sink, 0, sizeof *sink);
    sink->fd = fd;
    sink->path = strdup(path);
    if (sink->fd < 0 || sink->path == NULL || fstat(sink->fd, &st) < 0) {
        snprintf(why, why_size, "%s: %s", path, strerror(errno));
        goto fail;
    }
    sink->device = st.st_dev;
    sink->inode = st.st_ino;
    if (check_header(sink, mark, why, why_size) < 0)
        goto fail;
    sink->header = mmap(NULL, TRACE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, sink->fd, 0);
    if (sink->header == MAP_FAILED) {
        sink->header = NULL;
        snprintf(why, why_size, "%s: cannot be mapped: %s", path, strerror(errno));
        goto fail;
    }
    flock(sink->fd,
          LOCK_SH | LOCK_NB); /* tells other pyrec commands that this trace is being recorded */
    return 0;
fail:
    sink_close(sink);
    return -1;
}

int sink_open(struct sink *sink, const char *path, const char *mark, char *why, size_t why_size)
{
    return use_file(sink, open_high(path), path, mark, why, why_size);
}

int sink_open_memory(struct sink *sink, const struct sink_setting *settings, size_t count,
                     int *memory, char *why, size_t why_size)
{
    char path[64], mark[33];
    int fd = move_high(memfd_create("pyrec", MFD_CLOEXEC));
    int failure = fd < 0 ? errno : sink_start_write(fd, settings, count, mark);

    *memory = -1;
    if (failure == 0) {
        snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), fd);
        if (use_file(sink, fcntl(fd, F_DUPFD_CLOEXEC, LOWEST_DESCRIPTOR), path, mark, why,
                     why_size) == 0) {
            *memory = fd;
            return 0;
        }
    } else {
        snprintf(why, why_size, "no memory for a trace: %s", strerror(failure));
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

void sink_close(struct sink *sink)
{
    if (sink->header != NULL)
        munmap(sink->header, TRACE_PAGE);
    if (sink->fd >= 0)
        close(sink->fd);
    free(sink->path);
    memset(sink, 0, sizeof *sink);
    sink->fd = -1;
}

uint8_t *sink_read_settings(const struct sink *sink, size_t *size)
{
    uint8_t bytes[TRACE_CHUNK_PAYLOAD];
    struct trace_chunk_header header;
    uint8_t *payload;

    if (pread(sink->fd, bytes, sizeof bytes, TRACE_PAGE) != (ssize_t)sizeof bytes ||
        !trace_read_chunk_header(bytes, sink->mark, &header) || header.kind != TRACE_RUN ||
        header.length > SETTINGS_LIMIT)
        return NULL;
    *size = (size_t)header.length;
    payload = malloc(*size + 1);
    if (payload != NULL &&
        pread(sink->fd, payload, *size, TRACE_PAGE + TRACE_CHUNK_PAYLOAD) != (ssize_t)*size) {
        free(payload);
        return NULL;
    }
    return payload;
}

uint32_t sink_take_process(struct sink *sink)
{
    return __atomic_fetch_add(shared_u32(sink, TRACE_HEADER_NEXT_PROCESS), 1, __ATOMIC_RELAXED);
}

uint32_t sink_take_thread(struct sink *sink)
{
    return __atomic_fetch_add(shared_u32(sink, TRACE_HEADER_NEXT_THREAD), 1, __ATOMIC_RELAXED);
}

void sink_give_back_process(struct sink *sink, uint32_t number)
{
    uint32_t next = number + 1;

    __atomic_compare_exchange_n(shared_u32(sink, TRACE_HEADER_NEXT_PROCESS), &next, number, false,
                                __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

bool sink_knows_source(struct sink *sink, const uint8_t digest[32])
{
    uint64_t *table = shared_u64(sink, TRACE_HEADER_SOURCES);
    uint64_t key = trace_get_u64(digest) | 1; /* 0 means free */

    for (unsigned i = 0; i < 8; i++) {
        uint64_t *entry = &table[(key + i) % TRACE_HEADER_SOURCE_COUNT];
        uint64_t found = 0;

        if (__atomic_compare_exchange_n(entry, &found, key, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
            return false;
        if (found == key)
            return true;
    }
    return false;
}

/* Space. */

/* Of a thread with a table of open files of its own, in that table: what other threads open and
 * close means nothing there, and what it does, nothing to them. -1: it has none. */
static _Thread_local int own_descriptor = -1;

static int descriptor(const struct sink *sink)
{
    return own_descriptor >= 0 ? own_descriptor : sink->fd;
}

void sink_unshare(const struct sink *sink)
{
    own_descriptor = sink->fd;
}

void sink_stop(struct sink *sink, enum trace_gap_reason reason)
{
    uint32_t running = 0;

    __atomic_compare_exchange_n(shared_u32(sink, TRACE_HEADER_STOP), &running, (uint32_t)reason,
                                false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

bool sink_is_stopped(const struct sink *sink)
{
    return __atomic_load_n(shared_u32(sink, TRACE_HEADER_STOP), __ATOMIC_RELAXED) != 0;
}

enum trace_gap_reason sink_stop_reason(const struct sink *sink)
{
    uint32_t reason = __atomic_load_n(shared_u32(sink, TRACE_HEADER_STOP), __ATOMIC_RELAXED);

    return reason != 0 ? (enum trace_gap_reason)reason : TRACE_GAP_FAILED;
}

/* Writing beyond RLIMIT_FSIZE would kill the program by SIGXFSZ. */
static bool fits_limits(const struct sink *sink, uint64_t end)
{
    struct rlimit limit;
    struct statvfs fs;

    if (sink->max_size != 0 && end > sink->max_size)
        return false;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        end > limit.rlim_cur)
        return false;
    if (sink->min_free != 0 && fstatvfs(descriptor(sink), &fs) == 0 &&
        (uint64_t)fs.f_bavail * fs.f_frsize < sink->min_free)
        return false;
    return true;
}

static bool is_trace(const struct sink *sink, int fd)
{
    struct stat st;

    return fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == sink->device && st.st_ino == sink->inode;
}

/* Is it still our file? If the program closed it, opens it again by path. Two threads may find that
 * out at the same time: the descriptor of the first counts. */
static bool check_descriptor(struct sink *sink)
{
    int known = descriptor(sink);
    int fd;

    if (is_trace(sink, known))
        return true;
    fd = open_high(sink->path);
    if (is_trace(sink, fd)) {
        flock(fd, LOCK_SH | LOCK_NB);
        if (own_descriptor >= 0) {
            own_descriptor = fd;
            return true;
        }
        if (atomic_compare_exchange_strong(&sink->fd, &known, fd))
            return true;
    }
    if (fd >= 0)
        close(fd);
    return is_trace(sink, descriptor(sink));
}

/* Takes `size` bytes at the end of the file. False, with the run stopped, if there is no room. */
static bool reserve(struct sink *sink, uint64_t size, uint64_t *offset)
{
    if (sink_is_stopped(sink))
        return false;
    if (!check_descriptor(sink))
        return false; /* out of this process's reach; others may go on */
    *offset = __atomic_fetch_add(shared_u64(sink, TRACE_HEADER_END), size, __ATOMIC_RELAXED);
    if (!fits_limits(sink, *offset + size)) {
        sink_stop(sink, TRACE_GAP_FULL);
        return false;
    }
    return true;
}

/* Where the file system knows no fallocate() zeros are as good. */
static int write_zeros(int fd, uint64_t offset, uint64_t size)
{
    static const uint8_t zeros[TRACE_PAGE];
    int failure = 0;

    for (; size > 0 && failure == 0; size -= TRACE_PAGE, offset += TRACE_PAGE)
        failure = sink_bytes_write(fd, zeros, TRACE_PAGE, offset);
    return failure;
}

/* The blocks must exist before they are mapped: a store to a hole on a full disk is SIGBUS. */
static int allocate(int fd, uint64_t offset, uint64_t size)
{
    int failure;

    do
        failure = posix_fallocate(fd, (off_t)offset, (off_t)size);
    while (failure == EINTR);
    if (failure == EOPNOTSUPP || failure == ENOSYS || failure == EINVAL)
        failure = write_zeros(fd, offset, size);
    return failure;
}

/* Bytes of slots, of this process. */
static uint64_t mapped, mapped_most;

static void count_mapped(uint64_t size)
{
    uint64_t now = __atomic_add_fetch(&mapped, size, __ATOMIC_RELAXED);

    if (now > __atomic_load_n(&mapped_most, __ATOMIC_RELAXED))
        __atomic_store_n(&mapped_most, now, __ATOMIC_RELAXED);
}

uint64_t sink_mapped_most(void)
{
    return __atomic_load_n(&mapped_most, __ATOMIC_RELAXED);
}

bool sink_slot_open(struct sink *sink, struct sink_slot *slot, uint64_t capacity,
                    const struct sink_chunk *chunk)
{
    uint64_t offset;
    void *bytes;

    slot->bytes = NULL;
    slot->capacity = 0;
    if (!reserve(sink, capacity, &offset))
        return false;
    if (allocate(descriptor(sink), offset, capacity) != 0) {
        sink_stop(sink, TRACE_GAP_FULL);
        return false;
    }
    bytes =
        mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor(sink), (off_t)offset);
    if (bytes == MAP_FAILED)
        return false; /* this process has no address space left; others may go on */
    slot->bytes = bytes;
    slot->capacity = capacity;
    count_mapped(capacity);
    sink_bytes_header(slot->bytes, sink->mark, chunk, capacity);
    return true;
}

void sink_slot_reuse(struct sink_slot *slot, const struct sink_chunk *chunk, const uint8_t *prefix,
                     size_t prefix_size)
{
    uint8_t header[TRACE_CHUNK_PAYLOAD];
    uint64_t *sequence = (uint64_t *)(void *)(slot->bytes + TRACE_CHUNK_SEQUENCE);

    memset(slot->bytes + TRACE_CHUNK_PAYLOAD, 0, slot->capacity - TRACE_CHUNK_PAYLOAD);
    memcpy(slot->bytes + TRACE_CHUNK_PAYLOAD, prefix, prefix_size);
    sink_bytes_header(header, slot->bytes, chunk, slot->capacity);
    trace_put_u64(header + TRACE_CHUNK_SEQUENCE, *sequence);
    memcpy(slot->bytes + TRACE_CHUNK_CRC, header + TRACE_CHUNK_CRC,
           sizeof header - TRACE_CHUNK_CRC);
    __atomic_store_n(sequence, chunk->sequence, __ATOMIC_RELEASE);
}

void sink_slot_seal(struct sink_slot *slot, uint64_t length)
{
    uint8_t header[TRACE_CHUNK_PAYLOAD];
    uint8_t *bytes = slot->bytes;

    memcpy(header, bytes, sizeof header);
    sink_bytes_seal(header, bytes + TRACE_CHUNK_PAYLOAD, length);
    memcpy(bytes + TRACE_CHUNK_LENGTH, header + TRACE_CHUNK_LENGTH, 8);
    memcpy(bytes + TRACE_CHUNK_CRC, header + TRACE_CHUNK_CRC, 4);
    __atomic_store_n((uint32_t *)(void *)(bytes + TRACE_CHUNK_FLAGS),
                     trace_get_u32(header + TRACE_CHUNK_FLAGS), __ATOMIC_RELEASE);
}

uint8_t *sink_slot_pack(const struct sink_slot *slot, uint64_t length, const struct sink_slot *pack,
                        uint8_t *at)
{
    const uint8_t *header = slot->bytes;
    uint64_t since =
        trace_get_u64(header + TRACE_CHUNK_TICKS) - trace_get_u64(pack->bytes + TRACE_CHUNK_TICKS);
    uint8_t fields[TRACE_PACKED_HEADER_MAX], first[TRACE_VARINT_SIZE_MAX], *end = fields;
    size_t size, first_size;

    end = trace_put_varint(end, trace_get_u32(header + TRACE_CHUNK_THREAD));
    end = trace_put_varint(end, trace_get_u64(header + TRACE_CHUNK_SEQUENCE));
    end = trace_put_varint(end, trace_get_u64(header + TRACE_CHUNK_EVENTS_BEFORE));
    end = trace_put_svarint(end, (int64_t)since);
    end = trace_put_varint(end, trace_get_u64(header + TRACE_CHUNK_CPU));
    size = (size_t)(end - fields);
    first_size = (size_t)(trace_put_varint(first, size + length) - first);
    memcpy(at + first_size, fields, size);
    memcpy(at + first_size + size, header + TRACE_CHUNK_PAYLOAD, length);
    memcpy(at + 1, first + 1, first_size - 1);
    trace_publish(at, first[0]); /* not 0: until then nothing is there */
    return at + first_size + size + length;
}

void sink_slot_clear(struct sink_slot *slot)
{
    memset(slot->bytes + TRACE_CHUNK_PAYLOAD, 0, slot->capacity - TRACE_CHUNK_PAYLOAD);
    memset(slot->bytes, 0, TRACE_CHUNK_PAYLOAD);
}

void sink_slot_unmap(struct sink_slot *slot)
{
    if (slot->bytes != NULL) {
        munmap(slot->bytes, slot->capacity);
        __atomic_sub_fetch(&mapped, slot->capacity, __ATOMIC_RELAXED);
    }
    slot->bytes = NULL;
    slot->capacity = 0;
}

/* Writes header and payload, and zeros up to the next page. */
static bool write_chunk(struct sink *sink, uint8_t header[TRACE_CHUNK_PAYLOAD], const void *payload,
                        size_t size)
{
    static const uint8_t zeros[TRACE_PAGE];
    uint64_t capacity = sink_bytes_round(TRACE_CHUNK_PAYLOAD + size);
    size_t padding = (size_t)(capacity - TRACE_CHUNK_PAYLOAD - size);
    struct iovec parts[3] = {{header, TRACE_CHUNK_PAYLOAD},
                             {(void *)(uintptr_t)payload, size},
                             {(void *)(uintptr_t)zeros, padding}};
    uint64_t offset;
    ssize_t written;
    int failure = 0;

    trace_put_u64(header + TRACE_CHUNK_CAPACITY, capacity);
    sink_bytes_seal(header, payload, size);
    if (!reserve(sink, capacity, &offset))
        return false;
    do
        written = pwritev(descriptor(sink), parts, 3, (off_t)offset);
    while (written < 0 && errno == EINTR);
    if (written == (ssize_t)capacity)
        return true;
    failure = sink_bytes_write(descriptor(sink), header, TRACE_CHUNK_PAYLOAD, offset);
    if (failure == 0)
        failure = sink_bytes_write(descriptor(sink), payload, size, offset + TRACE_CHUNK_PAYLOAD);
    if (failure == 0)
        failure =
            sink_bytes_write(descriptor(sink), zeros, padding, offset + TRACE_CHUNK_PAYLOAD + size);
    if (failure != 0)
        sink_stop(sink, TRACE_GAP_FULL);
    return failure == 0;
}

bool sink_slot_copy(struct sink *sink, const struct sink_slot *slot, uint64_t length)
{
    uint8_t header[TRACE_CHUNK_PAYLOAD];

    memcpy(header, slot->bytes, sizeof header);
    return write_chunk(sink, header, slot->bytes + TRACE_CHUNK_PAYLOAD, length);
}

bool sink_append(struct sink *sink, const struct sink_chunk *chunk, const void *payload,
                 size_t size)
{
    uint8_t header[TRACE_CHUNK_PAYLOAD];

    sink_bytes_header(header, sink->mark, chunk, 0);
    return write_chunk(sink, header, payload, size);
}

uint64_t sink_count_events(struct sink *sink, uint64_t events)
{
    return __atomic_add_fetch(shared_u64(sink, TRACE_HEADER_EVENTS), events, __ATOMIC_RELAXED);
}

uint64_t sink_size(const struct sink *sink)
{
    uint64_t end = __atomic_load_n(shared_u64(sink, TRACE_HEADER_END), __ATOMIC_RELAXED);
    struct stat st;

    /* Of a run that is stopped the last who asked for room did not get it. */
    if (sink_is_stopped(sink) && fstat(descriptor(sink), &st) == 0 && (uint64_t)st.st_size < end)
        return (uint64_t)st.st_size;
    return end;
}

uint32_t sink_process_count(const struct sink *sink)
{
    return __atomic_load_n(shared_u32(sink, TRACE_HEADER_NEXT_PROCESS), __ATOMIC_RELAXED) - 1;
}

uint32_t sink_thread_count(const struct sink *sink)
{
    return __atomic_load_n(shared_u32(sink, TRACE_HEADER_NEXT_THREAD), __ATOMIC_RELAXED) - 1;
}
