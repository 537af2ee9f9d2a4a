#include "recorder/thread.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "formats/trace/encode.h"
#include "recorder/clock.h"
#include "recorder/cost.h"
#include "recorder/facts.h"
#include "recorder/recorder.h"
#include "recorder/section.h"
#include "recorder/suspended.h"
#include "recorder/unseen.h"

#define SMALLEST_CAPACITY (4u << 10)
#define LARGEST_CAPACITY (256u << 10)
#define FIRST_STACK 64

__thread struct thread *thread_current __attribute__((tls_model("initial-exec")));

static pthread_key_t end_key;
static bool has_end_key; /* a process has 1024 keys: without one its threads end unsealed */
static pthread_once_t end_key_once = PTHREAD_ONCE_INIT;

static void end_at_thread_exit(void *thread)
{
    thread_end(thread);
}

static void make_end_key(void)
{
    has_end_key = pthread_key_create(&end_key, end_at_thread_exit) == 0;
}

/* All threads. In the section one is visited or ends, which needs no GIL. */
static struct section section = SECTION_OF(SECTION_THREADS);
static struct thread *first_thread;

__thread unsigned section_entered __attribute__((tls_model("initial-exec")));

struct section *thread_section(void)
{
    return &section;
}

static void list_add(struct thread *t)
{
    section_enter(&section);
    t->preceding = NULL;
    t->following = first_thread;
    if (first_thread != NULL)
        first_thread->preceding = t;
    first_thread = t;
    section_leave(&section);
}

/* In the section. */
static void list_remove(struct thread *t)
{
    if (t->following != NULL)
        t->following->preceding = t->preceding;
    if (t->preceding != NULL)
        t->preceding->following = t->following;
    else if (first_thread == t)
        first_thread = t->following;
    t->following = t->preceding = NULL;
}

void thread_each(void (*visit)(struct thread *t, void *context), void *context)
{
    if (!section_enter(&section))
        return;
    for (struct thread *t = first_thread; t != NULL; t = t->following)
        visit(t, context);
    section_leave(&section);
}

struct thread *thread_find(pthread_t pthread)
{
    struct thread *t;

    section_enter(&section);
    for (t = first_thread; t != NULL; t = t->following) {
        if (pthread_equal(t->pthread, pthread))
            break;
    }
    section_leave(&section);
    return t;
}

void thread_forget_others(void)
{
    struct thread *t = thread_current;

    first_thread = t;
    if (t != NULL)
        t->following = t->preceding = NULL;
}

uint64_t thread_cpu_ns(const struct thread *t)
{
    return clock_read_ns(t == thread_current ? CLOCK_THREAD_CPUTIME_ID : t->cpu_clock);
}

static void write_thread_fact(const struct thread *t)
{
    struct fact fact;

    fact_init(&fact);
    fact_put_uint(&fact, t->number);
    fact_put_uint(&fact, (uint64_t)syscall(SYS_gettid));
    fact_put_string(&fact, t->name, t->name != NULL ? t->name_size : 0);
    fact_put_uint(&fact, t->is_main);
    facts_write(TRACE_FACT_THREAD, &fact);
}

static void keep_name(struct thread *t, const char *name, size_t size)
{
    free(t->name);
    t->name = name != NULL ? malloc(size + 1) : NULL;
    t->name_size = t->name != NULL ? size : 0;
    if (t->name == NULL)
        return;
    memcpy(t->name, name, size);
    t->name[size] = '\0';
}

static void note_self(struct thread *t)
{
    t->pthread = pthread_self();
    if (pthread_getcpuclockid(t->pthread, &t->cpu_clock) != 0)
        t->cpu_clock = CLOCK_THREAD_CPUTIME_ID;
}

struct thread *thread_begin(const char *name, size_t name_size, bool is_main)
{
    struct thread *t;

    if (!recorder.running)
        return NULL;
    t = calloc(1, sizeof *t);
    if (t != NULL)
        t->stack = calloc(FIRST_STACK, sizeof *t->stack);
    if (t == NULL || t->stack == NULL) {
        free(t);
        recorder_halt();
        return NULL;
    }
    t->top = t->stack;
    t->low = t->stack + 1;
    t->stack_end = t->stack + FIRST_STACK;
    t->shift = recorder.sink.tick_shift;
    t->next = 1;
    t->number = sink_take_thread(&recorder.sink);
    t->is_main = is_main;
    keep_name(t, name, name_size);
    note_self(t);
    write_thread_fact(t);
    list_add(t);
    pthread_once(&end_key_once, make_end_key);
    if (has_end_key)
        pthread_setspecific(end_key, t);
    thread_current = t;
    return t;
}

static void count_events(struct thread *t)
{
    sink_count_events(&recorder.sink, t->events - t->events_counted);
    t->events_counted = t->events;
}

static uint64_t payload_length(const struct thread *t)
{
    return (uint64_t)(t->at - t->slot.bytes) - TRACE_CHUNK_PAYLOAD;
}

static void seal(struct thread *t)
{
    if (t->slot.bytes == NULL)
        return;
    sink_slot_seal(&t->slot, payload_length(t));
    sink_slot_unmap(&t->slot);
    t->sequence++;
    t->at = t->end = NULL;
    count_events(t);
}

/* Recording is over: puts away what is in hand. A parent's chunk is left as it is. */
static bool stop(struct thread *t)
{
    if (t->in_child)
        sink_slot_unmap(&t->slot);
    else
        seal(t);
    t->at = t->end = NULL;
    return false;
}

static void write_stats(const struct thread *t)
{
    struct fact fact;
    uint64_t ns = (uint64_t)((double)t->writing_ticks * 1e9 / (double)recorder.sink.tick_rate);

    fact_init(&fact);
    fact_put_uint(&fact, t->number);
    fact_put_uint(&fact, t->events);
    fact_put_uint(&fact, t->events);
    fact_put_uint(&fact, t->sequence);
    fact_put_uint(&fact, ns);
    facts_write(TRACE_FACT_STATS, &fact);
}

void thread_write_replaced(struct thread *t)
{
    struct fact fact;

    if (t->replaced_ticks == 0)
        return;
    fact_init(&fact);
    fact_put_uint(&fact, t->number);
    fact_put_uint(&fact, TRACE_GAP_REPLACED);
    fact_put_uint(&fact, t->replaced_ticks);
    fact_put_uint(&fact, clock_ticks());
    facts_write_last(TRACE_FACT_GAP, &fact);
    t->replaced_ticks = 0;
}

/* Signals of this thread only: no other looks. */
static void set_busy(struct thread *t, bool busy)
{
    atomic_signal_fence(memory_order_seq_cst);
    t->is_busy = busy;
    atomic_signal_fence(memory_order_seq_cst);
}

void thread_finish(struct thread *t, bool stats)
{
    if (t->is_busy)
        return;
    set_busy(t, true);
    seal(t);
    if (stats)
        write_stats(t);
    set_busy(t, false);
}

void thread_end(struct thread *t)
{
    set_busy(t, true);
    section_enter(&section);
    stop(t);
    if (!t->in_child && !t->is_stale && recorder.active) {
        thread_write_replaced(t);
        write_stats(t);
    }
    list_remove(t);
    section_leave(&section);
    if (thread_current == t)
        thread_current = NULL;
    free(t->stack);
    free(t->name);
    free(t);
}

bool thread_grow_stack(struct thread *t)
{
    size_t size = (size_t)(t->stack_end - t->stack);
    size_t top = thread_depth(t), low = (size_t)(t->low - t->stack);
    struct open_frame *stack = realloc(t->stack, 2 * size * sizeof *stack);

    if (stack == NULL) {
        recorder_halt();
        return false;
    }
    t->stack = stack;
    t->stack_end = stack + 2 * size;
    t->top = stack + top;
    t->low = stack + low;
    return true;
}

void thread_lower(struct thread *t, struct open_frame *top)
{
    t->top = top;
    if (top < t->low)
        t->low = top > t->stack ? top : t->stack + 1;
}

void thread_pop_low(struct thread *t)
{
    if (t->top > t->stack)
        thread_lower(t, t->top - 1);
}

size_t thread_stack_size(const struct thread *t, size_t kept)
{
    /* code 5, line 5, thread 5, number 6 bytes at most */
    return 3 * TRACE_VARINT_SIZE_MAX + (thread_depth(t) - kept) * 21;
}

static uint8_t *put_open_frame(const struct thread *t, const struct open_frame *f, uint8_t *at)
{
    uint64_t thread = f->activation >> ACTIVATION_THREAD_SHIFT;
    uint64_t number = f->activation & ACTIVATION_NUMBER_MASK;
    bool foreign = thread != t->number;

    at = trace_put_varint(at, (uint64_t)f->code << 1 | foreign);
    at = trace_put_svarint(at, (int64_t)f->line - f->first_line);
    if (foreign)
        return trace_put_varint(trace_put_varint(at, thread), number);
    return trace_put_varint(at, t->next - number);
}

uint8_t *thread_put_stack(const struct thread *t, size_t kept, uint8_t *at)
{
    at = trace_put_varint(at, t->next);
    at = trace_put_varint(at, thread_depth(t));
    at = trace_put_varint(at, kept);
    for (const struct open_frame *f = t->stack + 1 + kept; f <= t->top; f++)
        at = put_open_frame(t, f, at);
    return at;
}

/* How many of the outermost frames did nothing at all since the chunk began. The lowest one that
 * was on top may have gone to another line. */
static size_t frames_kept(const struct thread *t)
{
    return (size_t)(t->low - t->stack) - 1;
}

static uint64_t next_capacity(const struct thread *t, size_t need)
{
    uint64_t capacity = SMALLEST_CAPACITY;

    if (t->slot.bytes != NULL)
        capacity = t->slot.capacity < LARGEST_CAPACITY ? t->slot.capacity * 4 : LARGEST_CAPACITY;
    else if (t->sequence > 0)
        capacity = 4 * SMALLEST_CAPACITY;
    while (capacity < TRACE_CHUNK_PAYLOAD + need + THREAD_RESERVE)
        capacity *= 2;
    return capacity;
}

/* Puts the chunk away: the large slot is copied and stays mapped for the next, smaller ones are
 * sealed where they are. */
static bool finish_chunk(struct thread *t, uint64_t capacity)
{
    if (t->slot.bytes == NULL)
        return true;
    if (t->slot.capacity != LARGEST_CAPACITY || capacity != LARGEST_CAPACITY) {
        seal(t);
        return true;
    }
    if (!sink_slot_copy(&recorder.sink, &t->slot, payload_length(t)))
        return false;
    t->sequence++;
    count_events(t);
    return true;
}

static bool open_chunk(struct thread *t, struct sink_chunk *chunk, uint64_t capacity,
                       const uint8_t *stack, size_t stack_size)
{
    if (stack_size > capacity / 4) {
        chunk->kind = TRACE_STACK;
        if (!sink_append(&recorder.sink, chunk, stack, stack_size))
            return false;
        chunk->kind = TRACE_EVENTS;
        chunk->flags |= TRACE_FLAG_STACK_APART;
        stack_size = 0;
    }
    if (t->slot.bytes != NULL) {
        sink_slot_reuse(&t->slot, chunk, stack, stack_size);
    } else {
        if (!sink_slot_open(&recorder.sink, &t->slot, capacity, chunk))
            return false;
        memcpy(t->slot.bytes + TRACE_CHUNK_PAYLOAD, stack, stack_size);
    }
    t->at = t->slot.bytes + TRACE_CHUNK_PAYLOAD + stack_size;
    t->end = recorder.settings.echo ? t->slot.bytes /* all events go the slow way */
                                    : t->slot.bytes + t->slot.capacity - THREAD_RESERVE;
    return true;
}

static bool begin_chunk(struct thread *t, struct sink_chunk *chunk, size_t need)
{
    size_t kept = t->sequence > 0 ? frames_kept(t) : 0;
    uint64_t capacity = next_capacity(t, need);
    uint8_t small[1024];
    uint8_t *stack = small;
    bool done = false;

    if (!finish_chunk(t, capacity))
        return false;
    if (thread_stack_size(t, kept) > sizeof small) {
        stack = malloc(thread_stack_size(t, kept));
        if (stack == NULL)
            return false;
    }
    chunk->sequence = t->sequence;
    done =
        open_chunk(t, chunk, capacity, stack, (size_t)(thread_put_stack(t, kept, stack) - stack));
    if (stack != small)
        free(stack);
    t->low = t->top > t->stack ? t->top : t->stack + 1;
    return done;
}

static void retire(struct thread *t, void *unused)
{
    (void)unused;
    if (t->is_stale)
        return;
    set_busy(t, true);
    stop(t);
    if (!t->in_child)
        write_stats(t);
    t->is_stale = true;
    t->top = t->stack;
    t->low = t->stack + 1;
    set_busy(t, false);
}

void thread_retire_all(void)
{
    thread_each(retire, NULL);
}

void thread_renew(struct thread *t)
{
    bool is_child = t->in_child;

    recorder_enter_child();
    t->in_child = t->is_stale = false;
    sink_slot_unmap(&t->slot);
    t->at = t->end = NULL;
    t->shift = recorder.sink.tick_shift;
    t->last_unit = 0;
    t->number = sink_take_thread(&recorder.sink);
    t->sequence = 0;
    t->events = t->events_counted = 0;
    t->writing_ticks = 0;
    t->next = 1;
    if (is_child) {
        suspended_clear();
        keep_name(t, "MainThread", strlen("MainThread"));
        t->is_main = true;
        note_self(t);
    }
    for (struct open_frame *f = t->stack + 1; f <= t->top; f++)
        f->activation = thread_new_activation(t);
    write_thread_fact(t);
}

static bool next_chunk(struct thread *t, uint64_t now, size_t need)
{
    struct sink_chunk chunk = {.kind = TRACE_EVENTS};
    uint64_t begun = clock_ticks(), begun_ns;

    if (!recorder.running)
        return stop(t);
    unseen_look();
    begun_ns = cost_begin();
    chunk.monotonic_ns = begun_ns; /* `now` was read a moment ago */
    if (t->in_child)               /* a new thread there, and all its frames are inherited */
        thread_renew(t);
    if (now >> t->shift < t->last_unit)
        now = t->last_unit << t->shift;
    chunk.process = recorder.process;
    chunk.thread = t->number;
    t->last_unit = now >> t->shift;
    chunk.ticks = t->last_unit << t->shift;
    chunk.events_before = t->events;
    chunk.cpu_ns = t->cpu_last = thread_cpu_ns(t);
    if (!begin_chunk(t, &chunk, need)) {
        recorder_halt();
        return stop(t);
    }
    t->writing_ticks += clock_ticks() - begun;
    cost_end(COST_WRITING, begun_ns);
    return true;
}

bool thread_next_chunk(struct thread *t, uint64_t now, size_t need)
{
    bool done;

    set_busy(t, true);
    done = next_chunk(t, now, need);
    set_busy(t, false);
    return done;
}
