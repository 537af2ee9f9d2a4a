/* sink.h - the trace file, being appended to by all processes of a run at once.
 *
 * Knows the file header, chunks and space; knows no event and no Python. Two ways into the file: a
 * *slot* is a chunk mapped and written in place (hot, and what was stored in it survives a kill);
 * sink_slot_copy() writes a finished chunk with pwrite, which costs the least for many bytes. Space
 * is taken by adding to the shared `end` in page 0, so nobody waits for anybody.
 *
 * Nothing here prints or raises. When the disk or a limit is reached the run is stopped: the
 * header says why, every process sees it at its next chunk, and the program goes on.
 */
#ifndef RECORDER_SINK_H
#define RECORDER_SINK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "formats/trace/trace.h"

struct sink {
    _Atomic int fd;              /* >= 100 where the limit allows; -1: none */
    dev_t device;                /* what fd must be, before it is written by number: */
    ino_t inode;                 /* the program may have closed and reused it */
    uint8_t *header;             /* page 0, mapped and shared with all processes */
    char *path;                  /* owned, absolute */
    uint64_t max_size, min_free; /* bytes; 0: no limit */
    uint64_t tick_rate;
    unsigned tick_shift;
    enum trace_clock clock;
    uint8_t mark[TRACE_MARK_SIZE];
};

struct sink_setting {
    const char *key;
    const char *value;
    size_t value_size;
};

/* A chunk's header, in memory (TRACE.md section 3). */
struct sink_chunk {
    enum trace_chunk_kind kind;
    uint32_t flags;
    uint32_t process, thread;
    uint64_t sequence, length;
    uint64_t ticks, monotonic_ns, events_before, cpu_ns;
};

/* A mapped chunk of the file. */
struct sink_slot {
    uint8_t *bytes;    /* NULL: none */
    uint64_t capacity; /* bytes, header included */
};

/* Creates the trace: header page and RUN chunk with the settings (TRACE.md section 4). `path` must
 * not exist (O_EXCL). Measures the clock. `mark` gets the run's mark as 32 digits and a NUL.
 * Returns 0, or an errno with a reason in `why`; then no file is left. */
int sink_create(const char *path, const struct sink_setting *settings, size_t count, char mark[33],
                char *why, size_t why_size);

/* Opens the trace at `path` for appending, if its mark is `mark` (32 digits), and uses its clock.
 * 0, or -1 with a sentence in `why`. */
int sink_open(struct sink *sink, const char *path, const char *mark, char *why, size_t why_size);

/* The two in one for a trace in memory, which lives until the caller closes `memory`; its path is
 * below /proc. 0, or -1 with a sentence in `why`. */
int sink_open_memory(struct sink *sink, const struct sink_setting *settings, size_t count,
                     int *memory, char *why, size_t why_size);

void sink_close(struct sink *sink);

/* From now on the calling thread has a table of open files of its own. */
void sink_unshare(const struct sink *sink);

/* The RUN chunk's payload, copied; the caller frees. NULL if it cannot be read. */
uint8_t *sink_read_settings(const struct sink *sink, size_t *size);

/* The next process or thread number of the run. */
uint32_t sink_take_process(struct sink *sink);
uint32_t sink_take_thread(struct sink *sink);

/* There is nothing of this process after all, nor will be. */
void sink_give_back_process(struct sink *sink, uint32_t number);

/* Is this source text in the file already? Registers it if there is room to remember. */
bool sink_knows_source(struct sink *sink, const uint8_t sha256[32]);

/* False, below: the run is stopped, or this process cannot write to it any more. */

/* Maps a fresh, zeroed chunk of `capacity` bytes (a multiple of the page) and writes its header,
 * unsealed. */
bool sink_slot_open(struct sink *sink, struct sink_slot *slot, uint64_t capacity,
                    const struct sink_chunk *chunk);

/* Writes the header of the next chunk over a slot whose payload has been copied: the sequence last,
 * because until then a reader takes the slot for the copy's twin. The payload is cleared first;
 * `prefix` bytes then stand at its start. */
void sink_slot_reuse(struct sink_slot *slot, const struct sink_chunk *chunk, const uint8_t *prefix,
                     size_t prefix_size);

/* Seals in place, and unmaps. `length`: bytes of payload. */
void sink_slot_seal(struct sink_slot *slot, uint64_t length);
void sink_slot_unmap(struct sink_slot *slot);

/* Writes the slot's chunk, without what its capacity leaves free, to `at` in a PACK chunk: at most
 * TRACE_PACKED_HEADER_MAX + length bytes, behind which it returns. */
uint8_t *sink_slot_pack(const struct sink_slot *slot, uint64_t length, const struct sink_slot *pack,
                        uint8_t *at);

/* A chunk that stands elsewhere: its place becomes one that was never written. */
void sink_slot_clear(struct sink_slot *slot);

/* Writes the slot's chunk, sealed, to a place of its own. */
bool sink_slot_copy(struct sink *sink, const struct sink_slot *slot, uint64_t length);

/* Writes a whole sealed chunk. */
bool sink_append(struct sink *sink, const struct sink_chunk *chunk, const void *payload,
                 size_t size);

/* Stops the whole run for `reason`, unless it is stopped already. */
void sink_stop(struct sink *sink, enum trace_gap_reason reason);
bool sink_is_stopped(const struct sink *sink);

/* Why; TRACE_GAP_FAILED if the run is not stopped. */
enum trace_gap_reason sink_stop_reason(const struct sink *sink);

/* Events sealed so far by all processes; adds `events` to it. */
uint64_t sink_count_events(struct sink *sink, uint64_t events);

/* The most bytes that this process had mapped in slots at one time. */
uint64_t sink_mapped_most(void);

/* Size of the file so far, and how many processes and threads have been in it. */
uint64_t sink_size(const struct sink *sink);
uint32_t sink_process_count(const struct sink *sink);
uint32_t sink_thread_count(const struct sink *sink);

#endif
