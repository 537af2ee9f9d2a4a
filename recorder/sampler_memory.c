#include "recorder/sampler_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* Pieces copied by one call; the kernel takes up to 1024. */
#define BATCH 256

/* More than that is never asked for: a stack of a few ten thousand frames. */
#define CAPACITY_MAX (64u << 20)

/* Descriptor of /proc/self/mem where process_vm_readv() is forbidden, else -1. */
static int mem_fd = -1;
static bool uses_file;
static bool is_forbidden; /* both */

/* Where the copies are: of one thread's memory at a time, so that few cache lines are needed. */
static struct {
    uint8_t *bytes; /* owned */
    size_t used, capacity;
} copies;

/* --- One piece --- */

/* Where no program looks for its own descriptors. */
static int open_high(void)
{
    int low = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    int high = low < 0 ? -1 : fcntl(low, F_DUPFD_CLOEXEC, 100);

    if (high >= 0)
        close(low);
    return high >= 0 ? high : low;
}

/* A call failed. The program may have set up a filter since it began. */
static void note_failure(void)
{
    if (errno != EPERM && errno != ENOSYS && errno != EBADF)
        return;
    if (!uses_file)
        mem_fd = open_high();
    is_forbidden = uses_file || mem_fd < 0;
    uses_file = true;
}

static bool read_vm(uintptr_t address, void *copy, size_t size)
{
    struct iovec local = {copy, size};
    struct iovec remote = {(void *)address, size};

    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)size;
}

static bool read_file(uintptr_t address, void *copy, size_t size)
{
    return pread(mem_fd, copy, size, (off_t)address) == (ssize_t)size;
}

bool sampler_memory_read(uintptr_t address, void *copy, size_t size)
{
    bool done = uses_file ? read_file(address, copy, size) : read_vm(address, copy, size);

    if (!done)
        note_failure();
    return done;
}

bool sampler_memory_is_forbidden(void)
{
    return is_forbidden;
}

int sampler_memory_init(char *why, size_t why_size)
{
    static const uint64_t known = UINT64_C(0x5079726563536d70);
    uint64_t copy = 0;

    sampler_memory_close();
    uses_file = is_forbidden = false;
    if (read_vm((uintptr_t)&known, &copy, sizeof copy) && copy == known)
        return 0;
    mem_fd = open_high();
    uses_file = mem_fd >= 0;
    if (uses_file && read_file((uintptr_t)&known, &copy, sizeof copy) && copy == known)
        return 0;
    snprintf(why, why_size,
             "sampling needs process_vm_readv or /proc/self/mem, and neither works here (%s)",
             strerror(errno));
    sampler_memory_close();
    return -1;
}

bool sampler_memory_open(void)
{
    if (uses_file)
        mem_fd = open_high();
    return !uses_file || mem_fd >= 0;
}

void sampler_memory_close(void)
{
    if (mem_fd >= 0)
        close(mem_fd);
    mem_fd = -1;
}

/* --- Many pieces --- */

/* Copies are looked at as what they are copies of, so they stand where that could. */
static size_t room_of(size_t size)
{
    return (size + 15) & ~(size_t)15;
}

static bool reserve(size_t size)
{
    size_t capacity = copies.capacity != 0 ? copies.capacity : 16384;
    uint8_t *bytes;

    if (size > CAPACITY_MAX - copies.used)
        return false;
    while (capacity < copies.used + size)
        capacity *= 2;
    if (capacity == copies.capacity)
        return true;
    bytes = realloc(copies.bytes, capacity);
    if (bytes == NULL)
        return false;
    copies.bytes = bytes;
    copies.capacity = capacity;
    return true;
}

static struct sampler_piece *add_piece(struct sampler_memory *memory)
{
    struct sampler_piece *pieces = memory->pieces;
    size_t room = memory->room != 0 ? 2 * memory->room : 8;

    if (memory->count == memory->room) {
        pieces = realloc(pieces, room * sizeof *pieces);
        if (pieces == NULL)
            return NULL;
        memory->pieces = pieces;
        memory->room = room;
    }
    return &pieces[memory->count];
}

/* Copies pieces[first .. first + count). How many of them were copied whole. */
static size_t copy_batch(struct sampler_memory *memory, size_t first, size_t count)
{
    struct iovec local[BATCH], remote[BATCH];
    size_t done = 0;
    ssize_t got;

    for (size_t i = 0; i < count; i++) {
        struct sampler_piece *piece = &memory->pieces[first + i];

        local[i] = (struct iovec){copies.bytes + piece->offset, piece->size};
        remote[i] = (struct iovec){(void *)piece->address, piece->size};
    }
    got = process_vm_readv(getpid(), local, count, remote, count, 0);
    if (got < 0)
        note_failure();
    while (done < count && got >= (ssize_t)local[done].iov_len)
        got -= (ssize_t)local[done++].iov_len;
    return done;
}

static size_t copy_singly(struct sampler_memory *memory)
{
    size_t done = 0;

    while (done < memory->count &&
           read_file(memory->pieces[done].address, copies.bytes + memory->pieces[done].offset,
                     memory->pieces[done].size))
        done++;
    return done;
}

static size_t copy_pieces(struct sampler_memory *memory)
{
    size_t done = 0;

    if (uses_file)
        return copy_singly(memory);
    while (done < memory->count) {
        size_t count = memory->count - done < BATCH ? memory->count - done : BATCH;
        size_t copied = copy_batch(memory, done, count);

        done += copied;
        if (copied < count)
            break;
    }
    return done;
}

void sampler_memory_refresh(struct sampler_memory *memory)
{
    size_t kept = 0;

    copies.used = 0;
    for (size_t i = 0; i < memory->count; i++) {
        struct sampler_piece piece = memory->pieces[i];

        if (!piece.used || !reserve(room_of(piece.size)))
            continue;
        piece.offset = copies.used;
        piece.used = false;
        copies.used += room_of(piece.size);
        memory->pieces[kept++] = piece;
    }
    memory->count = kept;
    memory->next = 0;
    memory->count = copy_pieces(memory); /* what is behind a piece that is gone, is read singly */
}

static bool covers(const struct sampler_piece *piece, uintptr_t address, size_t size)
{
    return address >= piece->address && address - piece->address <= piece->size &&
           size <= piece->size - (address - piece->address);
}

/* Frames come in the order of the pieces, nearly: farther away it is not worth looking. */
#define NEAR 32

/* From the piece used last on, and round. */
static struct sampler_piece *find_piece(struct sampler_memory *memory, uintptr_t address,
                                        size_t size)
{
    for (size_t n = 0; n < memory->count && n < NEAR; n++) {
        size_t i = (memory->next + n) % memory->count;

        if (covers(&memory->pieces[i], address, size)) {
            memory->next = i;
            return &memory->pieces[i];
        }
    }
    for (size_t n = 1; n < memory->next + 1 && n < NEAR; n++) {
        if (covers(&memory->pieces[memory->next - n], address, size))
            return &memory->pieces[memory->next - n];
    }
    return NULL;
}

static struct sampler_piece *fetch(struct sampler_memory *memory, uintptr_t address, size_t size)
{
    struct sampler_piece *piece;

    if (!reserve(room_of(size)) || (piece = add_piece(memory)) == NULL ||
        !sampler_memory_read(address, copies.bytes + copies.used, size))
        return NULL;
    *piece = (struct sampler_piece){.address = address, .size = size, .offset = copies.used};
    copies.used += room_of(size);
    memory->next = memory->count++;
    return piece;
}

const void *sampler_memory_get(struct sampler_memory *memory, uintptr_t address, size_t size,
                               uintptr_t from, size_t span)
{
    struct sampler_piece *piece = find_piece(memory, address, size);

    if (piece == NULL && span > size)
        piece = fetch(memory, from, span);
    if (piece == NULL || !covers(piece, address, size))
        piece = fetch(memory, address, size);
    if (piece == NULL)
        return NULL;
    piece->used = true;
    return copies.bytes + piece->offset + (address - piece->address);
}

void sampler_memory_fini(struct sampler_memory *memory)
{
    free(memory->pieces);
    *memory = (struct sampler_memory){0};
}

void sampler_memory_done(void)
{
    free(copies.bytes);
    copies.bytes = NULL;
    copies.used = copies.capacity = 0;
}
