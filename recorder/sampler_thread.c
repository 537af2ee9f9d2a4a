#include "recorder/sampler_thread.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "recorder/clock.h"
#include "recorder/recorder.h"
#include "recorder/sampler_names.h"

/* What became of an attempt. */
enum outcome {
    TAKEN,
    EMPTY,    /* no Python frame */
    RACED,    /* the copy makes no sense */
    UNPROVEN, /* there is a call in it that was never seen for certain */
    GONE,     /* the thread */
};

#define ATTEMPTS 4

/* A thread that was found waiting so often will go on waiting. */
#define QUIET_MIN 4

/* --- The thread's clock and state --- */

/* The kernel's clock of a thread's CPU time, by its id. */
static clockid_t clock_of(int native)
{
    return (clockid_t)(~(unsigned)native << 3 | 6); /* CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED */
}

static bool read_clock(struct sampler_thread *thread, struct sampler_shared *shared, uint64_t *ns)
{
    struct timespec now;

    if (clock_gettime(thread->clock, &now) < 0)
        return false;
    *ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    shared->seen += *ns - thread->seen;
    thread->seen = *ns;
    return true;
}

void sampler_thread_see(struct sampler_thread *thread, struct sampler_shared *shared)
{
    uint64_t ns;

    read_clock(thread, shared, &ns);
}

/* Of a thread that is not on a processor. Who ran most of a period since its last sample was, as a
 * rule, only made to wait for one. */
static enum trace_sample_tag classify(struct sampler_thread *thread,
                                      const struct sampler_shared *shared, uint64_t cpu)
{
    bool ran = cpu - thread->cpu > recorder.settings.sample_ns / 2;

    return sampler_state_read(&thread->status, shared->tasks_fd, thread->at.native, ran);
}

/* --- From frames to a stack --- */

static struct sampler_frame *push(struct sampler_stack *stack)
{
    if (stack->count == stack->room) {
        size_t room = stack->room != 0 ? 2 * stack->room : 16;
        struct sampler_frame *frames = realloc(stack->frames, room * sizeof *frames);

        if (frames == NULL)
            return NULL;
        stack->frames = frames;
        stack->room = room;
    }
    return &stack->frames[stack->count++];
}

/* A frame of code that nobody announced; the copy is of one moment, so it is code. */
static enum outcome push_unknown(struct sampler_stack *stack, const struct layout_frame *raw)
{
    struct sampler_frame *frame = push(stack);

    if (frame == NULL)
        return RACED;
    *frame = (struct sampler_frame){
        .address = raw->address, .code = raw->code, .instruction = raw->instruction};
    return TAKEN;
}

static enum outcome push_frame(struct sampler_stack *stack, const struct layout_frame *raw,
                               bool still)
{
    struct sampler_code code;
    const struct sampler_code *entry = sampler_codes_find(raw->code, &code);
    struct sampler_frame *frame;
    intptr_t offset;

    if (entry == NULL)
        return still ? push_unknown(stack, raw) : UNPROVEN;
    offset = (intptr_t)(raw->instruction - code.start);
    if (!raw->owned && offset < (intptr_t)code.prologue)
        return TAKEN; /* being called: not a frame yet */
    offset = offset < 0 ? 0 : offset;
    if ((uintptr_t)offset >= code.size)
        return RACED;
    frame = push(stack);
    if (frame == NULL)
        return RACED;
    *frame = (struct sampler_frame){.address = raw->address,
                                    .code = raw->code,
                                    .instruction = raw->instruction,
                                    .entry = entry,
                                    .birth = code.birth,
                                    .number = code.number,
                                    .offset = (uint32_t)offset,
                                    .first_line = code.first_line};
    return TAKEN;
}

/* A frame that has not moved since the last sample, of code that is still the same one: code that
 * is compiled again and again gets the same address again and again. */
static bool push_again(struct sampler_thread *thread, const struct layout_frame *raw)
{
    const struct sampler_frame *last = &thread->last.frames[thread->now.count];
    struct sampler_frame *frame;

    if (thread->now.count >= thread->last.count || last->address != raw->address ||
        last->code != raw->code || last->instruction != raw->instruction || last->entry == NULL ||
        !sampler_codes_hold(last->entry, last->birth, UINT64_MAX))
        return false;
    frame = push(&thread->now);
    if (frame == NULL)
        return false;
    *frame = *last;
    return true;
}

/* The frames as a stack, those of C left out. With `more`, one that stands for those farther out.
 */
static enum outcome build(struct sampler_thread *thread, const struct sampler_shared *shared,
                          int count, bool more, bool still)
{
    enum outcome outcome = TAKEN;

    thread->now.count = 0;
    if (more)
        outcome = push_unknown(&thread->now, &(struct layout_frame){0});
    for (int i = count; i-- > 0 && outcome == TAKEN;) {
        if (shared->raw[i].code != 0 && !push_again(thread, &shared->raw[i]))
            outcome = push_frame(&thread->now, &shared->raw[i], still);
    }
    return outcome;
}

static bool is_same(const struct sampler_frame *a, const struct sampler_frame *b)
{
    return a->address == b->address && a->birth == b->birth && a->offset == b->offset &&
           (a->birth != 0 || a->address == 0);
}

/* How many of the outermost frames are those of the last sample. */
static size_t common_frames(const struct sampler_thread *thread)
{
    size_t count = thread->now.count < thread->last.count ? thread->now.count : thread->last.count;
    size_t i = 0;

    while (i < count && is_same(&thread->now.frames[i], &thread->last.frames[i]))
        i++;
    return i;
}

/* --- Is it true? --- */

/* Each code was alive all the while, and under no other's address. */
static bool holds(const struct sampler_stack *stack, uint64_t generation)
{
    atomic_thread_fence(memory_order_seq_cst); /* after the copying */
    for (size_t i = 0; i < stack->count; i++) {
        const struct sampler_frame *frame = &stack->frames[i];

        if (frame->entry != NULL && !sampler_codes_hold(frame->entry, frame->birth, generation))
            return false;
    }
    return true;
}

/* Each call from frame `first` on has been seen for certain; if `still`, now it has. */
static bool prove(const struct sampler_stack *stack, size_t first, struct sampler_known *calls,
                  bool still)
{
    for (size_t i = first; i < stack->count; i++) {
        const struct sampler_frame *callee = &stack->frames[i];
        uint64_t caller = i > 0 ? (callee[-1].birth << 24) + callee[-1].offset : 0;

        if (callee->address == 0 || (i > 0 && callee[-1].address == 0))
            continue; /* farther out */
        if (!still && (callee->birth == 0 || (i > 0 && callee[-1].birth == 0)))
            return false;
        if (callee->birth == 0)
            continue;
        if (sampler_known_get(calls, callee->birth, caller) != NULL)
            continue;
        if (!still)
            return false;
        sampler_known_put(calls, callee->birth, caller, 1);
    }
    return true;
}

/* --- Lines and nodes --- */

static bool find_line(struct sampler_frame *frame, struct sampler_known *lines)
{
    const int64_t *known;
    struct sampler_code copy;

    if (frame->entry == NULL)
        return true;
    known = sampler_known_get(lines, frame->birth, frame->offset);
    if (known != NULL) {
        frame->line = (int32_t)*known;
        return true;
    }
    if (!sampler_codes_copy(frame->entry, &copy) ||
        !sampler_codes_line(&copy, (int)frame->offset, &frame->line) ||
        !sampler_codes_hold(frame->entry, frame->birth, UINT64_MAX))
        return false;
    sampler_known_put(lines, frame->birth, frame->offset, frame->line);
    return true;
}

static bool find_lines(struct sampler_thread *thread, size_t first, struct sampler_known *lines)
{
    for (size_t i = first; i < thread->now.count; i++) {
        if (!find_line(&thread->now.frames[i], lines))
            return false;
    }
    return true;
}

/* Excluded code counts as C code: it is not there. Code that is not known is, as code 0. */
static bool counts(const struct sampler_frame *frame)
{
    return frame->number != 0 || frame->entry == NULL;
}

/* The node of the stack; its frames below `first` have theirs. 0: no frame counts. */
static uint32_t write_nodes(struct sampler_thread *thread, size_t first)
{
    uint32_t node = first > 0 ? thread->now.frames[first - 1].node : 0;

    for (size_t i = first; i < thread->now.count; i++) {
        struct sampler_frame *frame = &thread->now.frames[i];

        if (counts(frame))
            node = sampler_writer_node(&thread->writer, node, frame->number, frame->line,
                                       frame->first_line);
        frame->node = node;
    }
    return node;
}

/* --- One sample --- */

/* In a fork's child any thread may be the main one, with a name that was another's. */
static bool begin_writing(struct sampler_thread *thread, const struct sampler_shared *shared,
                          uint64_t cpu)
{
    static const char main_name[] = "MainThread";
    bool is_main = thread->at.native == recorder.pid;
    size_t size;
    char *name;
    bool done;

    if (thread->writer.number != 0)
        return true;
    name = sampler_names_take(thread->at.id, &size);
    done = sampler_writer_begin(&thread->writer, is_main ? main_name : name,
                                is_main ? strlen(main_name) : size, thread->at.native, is_main,
                                shared->previous, cpu);
    free(name);
    return done;
}

/* As long as its clock does not move, its next sample is like its last one. */
static bool waits(const struct sampler_thread *thread)
{
    return thread->has_sample && thread->state != TRACE_SAMPLE_RUNNING &&
           thread->chunk == thread->writer.chunk;
}

/* A thread that waits where it waited before: what it ran meanwhile, to look whether it has to wait
 * on, goes to the next sample that is written. */
static bool still_waits(const struct sampler_thread *thread, enum trace_sample_tag state,
                        size_t common)
{
    return waits(thread) && state == thread->state && common == thread->now.count &&
           common == thread->last.count;
}

static bool write_same(struct sampler_thread *thread, uint64_t cpu)
{
    thread->cpu = cpu;
    sampler_writer_same(&thread->writer, 1, clock_ticks());
    return recorder.running;
}

static uint64_t ns_since_round(const struct sampler_shared *shared)
{
    return (uint64_t)((double)(clock_ticks() - shared->previous) * 1e9 /
                      (double)recorder.sink.tick_rate);
}

/* The CPU time to be told. The first sample of a thread stands for those as well that begin and end
 * between two rounds: as long as it is from one to the next, they run. */
static uint64_t tell_cpu(const struct sampler_thread *thread, const struct sampler_shared *shared,
                         uint64_t cpu)
{
    uint64_t all = thread->is_new ? ns_since_round(shared) : 0;

    return all > cpu ? all : cpu;
}

/* Writes thread->now, of which the outermost `common` frames are those of the last sample. */
static bool write_sample(struct sampler_thread *thread, const struct sampler_shared *shared,
                         enum trace_sample_tag state, size_t common, uint64_t cpu)
{
    struct sampler_writer *writer = &thread->writer;
    struct sampler_stack swapped = thread->last;
    size_t kept = thread->chunk == writer->chunk ? common : 0;

    for (size_t i = 0; i < common; i++) {
        thread->now.frames[i].line = thread->last.frames[i].line;
        thread->now.frames[i].node = thread->last.frames[i].node;
    }
    if (!sampler_writer_reserve(writer, thread->now.count - kept, thread->now.count))
        return false;
    if (thread->chunk != writer->chunk)
        kept = 0;
    thread->node = write_nodes(thread, kept);
    thread->chunk = writer->chunk;
    thread->cpu = cpu;
    thread->has_sample = true;
    thread->state = state;
    sampler_writer_sample(writer, state, clock_ticks(), thread->node,
                          tell_cpu(thread, shared, cpu));
    thread->is_new = false;
    thread->last = thread->now;
    thread->now = swapped;
    return true;
}

/* The frames copied and checked. *cpu: what its clock showed before, and shows now; *still: that is
 * the same, so it did not run meanwhile. */
static enum outcome look(struct sampler_thread *thread, struct sampler_shared *shared,
                         size_t *common, bool *still, uint64_t *cpu)
{
    uint64_t generation = sampler_codes_generation(), before = *cpu;
    enum outcome outcome;
    bool more;
    int count;

    sampler_memory_refresh(&thread->memory);
    count = layout_walk(&thread->memory, thread->at.state, thread->at.id, shared->raw,
                        shared->max_depth, &more);
    if (!read_clock(thread, shared, cpu))
        return GONE;
    *still = before == *cpu;
    if (count < 0)
        return *still ? GONE : RACED;
    outcome = build(thread, shared, count, more, *still);
    if (outcome != TAKEN)
        return outcome;
    if (thread->now.count == 0)
        return EMPTY;
    *common = common_frames(thread);
    if (!prove(&thread->now, *common, &shared->calls, *still))
        return UNPROVEN;
    if (!find_lines(thread, *common, &shared->lines) || !holds(&thread->now, generation))
        return RACED;
    return TAKEN;
}

/* --- When a call must be seen for certain --- */

/* While we run on the thread's processor, it does not. Once a call, not once a sample. */
static enum outcome look_closely(struct sampler_thread *thread, struct sampler_shared *shared,
                                 size_t *common, bool *still, uint64_t *cpu)
{
    enum outcome outcome = UNPROVEN;
    cpu_set_t all, one;

    if (shared->tasks_fd < 0 || sched_getaffinity(0, sizeof all, &all) < 0)
        return outcome;
    for (int i = 0; i < ATTEMPTS && (outcome == UNPROVEN || outcome == RACED); i++) {
        int processor = sampler_state_processor(shared->tasks_fd, thread->at.native);

        if (processor < 0 || processor >= CPU_SETSIZE)
            break;
        CPU_ZERO(&one);
        CPU_SET((unsigned)processor, &one);
        if (sched_setaffinity(0, sizeof one, &one) < 0)
            break;
        if (!read_clock(thread, shared, cpu))
            return GONE;
        outcome = look(thread, shared, common, still, cpu);
    }
    sched_setaffinity(0, sizeof all, &all);
    return outcome;
}

static bool miss(struct sampler_thread *thread, struct sampler_shared *shared)
{
    thread->writer.missed++;
    shared->missed++;
    return true;
}

/* Code that nobody announced will be, when the interpreter next gives us a chance. */
static void note_unknown(const struct sampler_thread *thread, struct sampler_shared *shared)
{
    for (size_t i = 0; i < thread->now.count; i++) {
        if (thread->now.frames[i].entry == NULL && thread->now.frames[i].address != 0) {
            shared->unknown++;
            sampler_codes_look_around();
            return;
        }
    }
}

/* `cpu`: its clock, just read. */
static bool take(struct sampler_thread *thread, struct sampler_shared *shared, uint64_t cpu)
{
    enum outcome outcome = RACED;
    enum trace_sample_tag state;
    size_t common = 0;
    bool still = false;

    for (int i = 0; i < ATTEMPTS && outcome == RACED; i++)
        outcome = look(thread, shared, &common, &still, &cpu);
    if (outcome == UNPROVEN || outcome == RACED)
        outcome = look_closely(thread, shared, &common, &still, &cpu);
    if (outcome == GONE)
        return false;
    if (outcome == EMPTY && thread->writer.number == 0)
        return true;
    if (outcome != TAKEN && outcome != EMPTY)
        return miss(thread, shared);
    if (!begin_writing(thread, shared, thread->cpu))
        return false;
    state = still ? classify(thread, shared, cpu) : TRACE_SAMPLE_RUNNING;
    shared->taken++;
    note_unknown(thread, shared);
    return still_waits(thread, state, common) ? write_same(thread, cpu)
                                              : write_sample(thread, shared, state, common, cpu);
}

bool sampler_thread_rest(struct sampler_thread *thread, const struct sampler_shared *shared)
{
    thread->resting = waits(thread) && thread->quiet >= QUIET_MIN;
    thread->rests = shared->rests;
    return thread->resting;
}

/* The samples of the time when it rested. */
static void wake(struct sampler_thread *thread, const struct sampler_shared *shared)
{
    if (thread->resting && thread->rests < shared->rests)
        sampler_writer_same(&thread->writer, shared->rests - thread->rests, shared->rested_until);
    thread->resting = false;
}

bool sampler_thread_sample(struct sampler_thread *thread, struct sampler_shared *shared)
{
    uint64_t cpu;

    wake(thread, shared);
    if (!read_clock(thread, shared, &cpu))
        return false;
    if (waits(thread) && cpu == thread->cpu) {
        shared->taken++;
        thread->quiet++;
        return write_same(thread, cpu);
    }
    thread->quiet = 0;
    return take(thread, shared, cpu);
}

/* --- Beginning and end --- */

void sampler_thread_begin(struct sampler_thread *thread, struct sampler_shared *shared,
                          const struct layout_thread *at, bool is_new)
{
    *thread = (struct sampler_thread){
        .at = *at, .listed = true, .clock = clock_of(at->native), .status = {.fd = -1}};
    read_clock(thread, shared, &thread->cpu);
    thread->is_new = is_new && thread->cpu <= ns_since_round(shared); /* or it was C's before */
    thread->cpu = thread->is_new ? 0 : thread->cpu;
}

void sampler_thread_pause(struct sampler_thread *thread, struct sampler_shared *shared,
                          uint64_t now)
{
    wake(thread, shared);
    read_clock(thread, shared, &thread->cpu);
    thread->has_sample = false;
    if (thread->writer.number != 0)
        sampler_writer_gap(&thread->writer, now, TRACE_GAP_PAUSED, thread->cpu);
}

void sampler_thread_seal(struct sampler_thread *thread, struct sampler_shared *shared)
{
    wake(thread, shared);
    thread->has_sample = false;
    sampler_writer_end(&thread->writer);
}

void sampler_thread_over(struct sampler_thread *thread, struct sampler_shared *shared)
{
    wake(thread, shared);
    sampler_writer_pack(&thread->writer);
}

void sampler_thread_fini(struct sampler_thread *thread, struct sampler_shared *shared,
                         bool of_parent)
{
    if (!of_parent)
        wake(thread, shared);
    shared->seen -= thread->seen;
    if (thread->status.fd >= 0 && !of_parent)
        close(thread->status.fd);
    sampler_writer_fini(&thread->writer, of_parent);
    sampler_memory_fini(&thread->memory);
    free(thread->last.frames);
    free(thread->now.frames);
}

void sampler_shared_fini(struct sampler_shared *shared)
{
    sampler_known_fini(&shared->calls);
    sampler_known_fini(&shared->lines);
    sampler_memory_done();
    free(shared->raw);
    *shared = (struct sampler_shared){0};
}
