#include "recorder/events.h"

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "recorder/attribute.h"
#include "recorder/echo.h"
#include "recorder/recorder.h"

/* Up to where the chunk can be filled. */
static const uint8_t *end_of_chunk(const struct thread *t)
{
    if (recorder.settings.echo && t->slot.bytes != NULL)
        return t->slot.bytes + t->slot.capacity - THREAD_RESERVE;
    return t->end;
}

/* With --echo, for the event just written. */
static inline void echo(const struct thread *t, enum trace_tag tag, uint32_t string)
{
    if (EVENTS_UNLIKELY(recorder.settings.echo))
        echo_event(t, tag, string);
}

/* Makes room, writes the CPU stamp if one is due, and tells the units since the last event. False:
 * recording is over. */
static bool prepare_at(struct thread *t, uint64_t ticks, size_t need, uint64_t *units)
{
    uint64_t now = ticks >> t->shift;

    if ((t->end == NULL || t->at + need >= end_of_chunk(t) + 1) &&
        !thread_next_chunk(t, ticks, need))
        return false;
    *units = now > t->last_unit ? now - t->last_unit : 0;
    if (*units << t->shift > recorder.stamp_ticks) {
        uint64_t cpu = thread_cpu_ns(t);

        t->at = trace_put_cpu(t->at, cpu > t->cpu_last ? cpu - t->cpu_last : 0);
        t->cpu_last = cpu;
    }
    t->last_unit += *units;
    t->events++;
    return true;
}

/* For an event of the calling thread. Not in prepare_at(): who visits all threads, as a pause does,
 * has the lock of their list, which suspending the callbacks takes. */
static bool prepare(struct thread *t, size_t need, uint64_t *units)
{
    if (prepare_at(t, clock_ticks(), need, units))
        return true;
    recorder_detach();
    return false;
}

EVENTS_SLOW static void line_slow(struct thread *t, int line)
{
    uint64_t units;

    if (prepare(t, 0, &units))
        t->at = trace_put_line(t->at, units, (int64_t)line - t->top->line);
    t->top->line = line;
    echo(t, TRACE_TAG_LINE, 0);
}

void event_line_wide(struct thread *t, int line, uint64_t now)
{
    uint64_t units = now - t->last_unit;

    if (units < EVENTS_WIDE_TIME && t->at < t->end) {
        t->at = trace_put_line(t->at, units, (int64_t)line - t->top->line);
        t->top->line = line;
        events_advance(t, 0, now);
    } else {
        line_slow(t, line);
    }
}

EVENTS_SLOW static void plain_slow(struct thread *t, enum trace_tag tag, uint8_t form)
{
    uint64_t units;

    if (prepare(t, 0, &units))
        t->at = trace_put_plain(t->at, tag, form, units);
    echo(t, tag, 0);
}

void event_plain_wide(struct thread *t, enum trace_tag tag, uint8_t form, uint64_t now)
{
    uint64_t units = now - t->last_unit;

    if (units < EVENTS_WIDE_TIME && t->at < t->end) {
        t->at[1] = (uint8_t)units;
        trace_publish(t->at, (uint8_t)tag);
        events_advance(t, 2, now);
    } else {
        plain_slow(t, tag, form);
    }
}

void event_call_slow(struct thread *t, const pycompat_frame *frame, const struct code_info *code)
{
    uint64_t units;

    if (prepare(t, 0, &units))
        t->at = trace_put_operand(t->at, TRACE_TAG_CALL, TRACE_SHORT_CALL, units, code->number);
    if (t->top + 1 != t->stack_end || thread_grow_stack(t))
        events_push(t, t->top + 1, frame, code);
    echo(t, TRACE_TAG_CALL, 0);
}

/* The top frame is gone for good. */
static void leave(struct thread *t)
{
    if (t->top->generator)
        suspended_remove(t->top->frame);
    thread_pop(t);
}

void event_return_wide(struct thread *t, uint64_t now)
{
    event_plain(t, TRACE_TAG_RETURN, TRACE_SHORT_RETURN, now);
    leave(t);
}

void event_c_call(struct thread *t, uint32_t callable)
{
    uint64_t units;

    if (prepare(t, 0, &units))
        t->at = trace_put_operand(t->at, TRACE_TAG_C_CALL, 0, units, callable);
    echo(t, TRACE_TAG_C_CALL, callable);
}

void event_c_return(struct thread *t)
{
    event_plain(t, TRACE_TAG_C_RETURN, 0, events_now(t));
}

void event_raise(struct thread *t, PyObject *type)
{
    const char *name = type != NULL && PyType_Check(type) ? ((PyTypeObject *)type)->tp_name : "?";
    uint32_t number = codes_string(name, strlen(name));
    uint64_t units;

    if (prepare(t, 0, &units))
        t->at = trace_put_operand(t->at, TRACE_TAG_RAISE, 0, units, number);
    echo(t, TRACE_TAG_RAISE, number);
}

void event_mark(struct thread *t, uint32_t string)
{
    uint64_t units;

    if (prepare(t, 0, &units))
        t->at = trace_put_operand(t->at, TRACE_TAG_MARK, 0, units, string);
    echo(t, TRACE_TAG_MARK, string);
}

void event_unwind(struct thread *t)
{
    event_plain(t, TRACE_TAG_UNWIND, 0, events_now(t));
    leave(t);
}

/* Suspension. */

static void suspend(const struct thread *t, const struct open_frame *f, uint64_t sequence)
{
    struct suspended *entry = suspended_store(f->frame);

    if (entry != NULL)
        events_note(entry, t, f, sequence);
}

void event_yield_wide(struct thread *t, uint64_t now)
{
    event_plain(t, TRACE_TAG_YIELD, TRACE_SHORT_YIELD, now);
    suspend(t, t->top, t->sequence); /* after the event: it may have begun a new chunk */
    thread_pop(t);
}

/* `next`: the thread's, before an activation never seen before took it. */
static uint8_t *put_reference(const struct thread *t, uint8_t *at, uint64_t activation,
                              uint64_t next)
{
    uint64_t thread = activation >> ACTIVATION_THREAD_SHIFT;
    uint64_t number = activation & ACTIVATION_NUMBER_MASK;

    if (thread == t->number)
        return trace_put_varint(at, (next - number) << 1);
    return trace_put_varint(trace_put_varint(at, thread << 1 | 1), number);
}

static void put_continue(struct thread *t, uint64_t units, const struct open_frame *f,
                         uint64_t next)
{
    uint8_t *at = trace_put_varint(t->at + 1, units);

    at = trace_put_varint(at, f->code);
    at = trace_put_svarint(at, (int64_t)f->line - f->first_line);
    at = put_reference(t, at, f->activation, next);
    trace_publish(t->at, TRACE_TAG_CONTINUE);
    t->at = at;
}

static struct open_frame *push(struct thread *t)
{
    if (t->top + 1 == t->stack_end && !thread_grow_stack(t))
        return NULL;
    return ++t->top;
}

/* The open frame for an interpreter's frame that was not called under our eyes. */
static struct open_frame describe(struct thread *t, pycompat_frame *frame,
                                  const struct code_info *code)
{
    const struct suspended *known = suspended_find(frame);
    struct open_frame f = {.frame = frame,
                           .code = code->number,
                           .first_line = code->first_line,
                           .generator = code->generator};

    if (known != NULL && known->code == code->number) {
        f.activation = known->activation;
        f.line = known->line;
    } else {
        f.activation = thread_new_activation(t);
        f.line = pycompat_frame_line(frame);
    }
    return f;
}

static void put_resume(struct thread *t, uint64_t units, uint64_t activation)
{
    t->at = trace_put_operand(t->at, TRACE_TAG_RESUME, 0, units,
                              t->next - (activation & ACTIVATION_NUMBER_MASK));
}

void event_resume_any(struct thread *t, pycompat_frame *frame, const struct code_info *code)
{
    const struct suspended *known;
    uint64_t units, next;
    struct open_frame f;
    struct open_frame *top;
    bool ready;

    if (t->top->frame == frame)
        return;
    ready = prepare(t, 0, &units); /* may have begun a new chunk, or a child */
    known = suspended_find(frame);
    if (ready && known != NULL && events_knows_here(t, known, frame, code)) {
        put_resume(t, units, known->activation);
        top = push(t);
        if (top != NULL)
            events_reopen(top, known);
        echo(t, TRACE_TAG_RESUME, 0);
        return;
    }
    next = t->next;
    f = describe(t, frame, code);
    if (ready)
        put_continue(t, units, &f, next);
    top = push(t);
    if (top != NULL)
        *top = f;
    echo(t, TRACE_TAG_RESUME, 0);
}

/* Alignment. */

pycompat_frame *events_recorded_frame(pycompat_frame *frame)
{
    while (frame != NULL && !codes_info(pycompat_frame_code(frame), frame)->wanted)
        frame = pycompat_frame_caller(frame);
    return frame;
}

void events_find_caller(struct thread *t, const pycompat_frame *frame)
{
    pycompat_frame *caller = pycompat_frame_caller(frame);

    if (t->top->frame != caller && t->top->frame != frame)
        events_realign(t, events_recorded_frame(caller));
}

/* The recorded frames from `frame` outward, innermost first, in memory the caller frees. */
static pycompat_frame **collect_frames(pycompat_frame *frame, size_t *count)
{
    size_t depth = 0;
    pycompat_frame **frames;

    for (pycompat_frame *f = events_recorded_frame(frame); f != NULL;
         f = events_recorded_frame(pycompat_frame_caller(f)))
        depth++;
    frames = malloc((depth + 1) * sizeof *frames);
    *count = 0;
    if (frames == NULL)
        return NULL;
    for (pycompat_frame *f = events_recorded_frame(frame); f != NULL && *count < depth;
         f = events_recorded_frame(pycompat_frame_caller(f)))
        frames[(*count)++] = f;
    return frames;
}

/* Pushes frames[count - 1 - kept] ... frames[0]. */
static void push_frames(struct thread *t, pycompat_frame **frames, size_t count, size_t kept)
{
    for (size_t i = count - kept; i-- > 0;) {
        struct open_frame f =
            describe(t, frames[i], codes_info(pycompat_frame_code(frames[i]), frames[i]));
        struct open_frame *top = push(t);

        if (top == NULL)
            return;
        *top = f;
    }
}

static size_t common_frames(const struct thread *t, pycompat_frame **frames, size_t count)
{
    size_t depth = thread_depth(t), kept = 0;

    while (kept < depth && kept < count && t->stack[1 + kept].frame == frames[count - 1 - kept])
        kept++;
    return kept;
}

static bool has_yielded(const pycompat_frame *frame)
{
    const struct suspended *known = suspended_find(frame);

    return known != NULL && known->sequence != EVENTS_NOT_YIELDED;
}

static void put_switch(struct thread *t, uint64_t units, size_t kept)
{
    uint8_t *at = trace_put_varint(t->at + 1, units);

    at = thread_put_stack(t, kept, at);
    trace_publish(t->at, TRACE_TAG_SWITCH);
    t->at = at;
}

/* Frames entered without a word, all generators waiting for the one outside them: they go on. */
static bool resume_frames(struct thread *t, pycompat_frame **frames, size_t count, size_t kept)
{
    for (size_t i = 0; i < count - kept; i++) {
        if (!has_yielded(frames[i]))
            return false;
    }
    for (size_t i = count - kept; i-- > 0;)
        event_resume_any(t, frames[i], codes_info(pycompat_frame_code(frames[i]), frames[i]));
    return true;
}

/* Frames left without a word: generators are suspended (throw() passed through them), others are
 * gone (a tracer of the program failed). Not for an empty stack: that may be a greenlet's
 * beginning. */
static bool leave_frames(struct thread *t, size_t count, size_t kept)
{
    if (kept != count || kept == 0)
        return false;
    while (thread_depth(t) > kept) {
        if (t->top->generator)
            event_yield(t);
        else
            event_unwind(t);
    }
    return true;
}

/* Another stack altogether. */
static void switch_frames(struct thread *t, pycompat_frame **frames, size_t count, size_t kept)
{
    uint64_t units;
    bool ready;

    for (const struct open_frame *f = t->stack + 1 + kept; f <= t->top; f++)
        suspend(t, f, EVENTS_NOT_YIELDED);
    /* Room first: a new chunk's own stack record must be that of the stack left. */
    ready = prepare(t, 3 * TRACE_VARINT_SIZE_MAX + (count - kept) * 21, &units);
    thread_lower(t, t->stack + kept);
    push_frames(t, frames, count, kept);
    if (ready)
        put_switch(t, units, kept);
}

void events_realign(struct thread *t, pycompat_frame *frame)
{
    size_t count, kept;
    pycompat_frame **frames;
    bool entered;

    if (t->in_child)
        thread_next_chunk(t, clock_ticks(),
                          0); /* its stack is right; only its chunk is not its own */
    frames = collect_frames(frame, &count);
    if (frames == NULL) {
        recorder_halt();
        return;
    }
    kept = common_frames(t, frames, count);
    /* CPython 3.9 does not link the generators that throw() passes through to their callers. */
    entered = kept == thread_depth(t) || (kept == 0 && count > 0 && has_yielded(frames[count - 1]));
    if (!(entered && resume_frames(t, frames, count, kept)) && !leave_frames(t, count, kept))
        switch_frames(t, frames, count, kept);
    free(frames);
}

/* Pauses. */

/* A switch to the stack that is there already. A gap's first half still fits behind it. */
void event_boundary(struct thread *t, uint64_t now)
{
    uint64_t units;

    if (prepare_at(t, now, 2 * TRACE_EVENT_SIZE_MAX, &units))
        put_switch(t, units, thread_depth(t));
}

static void put_gap(struct thread *t, enum trace_gap_reason reason, uint64_t units)
{
    uint8_t *at = trace_put_varint(t->at + 1, 0);

    at = trace_put_varint(trace_put_varint(at, reason), units);
    at = thread_put_stack(t, 0, at);
    trace_publish(t->at, TRACE_TAG_GAP);
    t->at = at;
    t->last_unit += units;
    t->events++;
}

/* Takes the frames from `frame` outward for the thread's stack. */
static void inherit_frames(struct thread *t, pycompat_frame *frame)
{
    size_t count;
    pycompat_frame **frames = collect_frames(frame, &count);

    thread_lower(t, t->stack);
    if (frames != NULL)
        push_frames(t, frames, count, 0);
    free(frames);
}

/* The gap ends on an empty stack, so that its record is small: a boundary has left room for it. The
 * stack of now follows, with a stamp, because what the thread ran in the gap counts for nobody. */
void event_gap(struct thread *t, pycompat_frame *frame, enum trace_gap_reason reason, uint64_t now)
{
    size_t depth = 0;
    uint64_t units, cpu;

    for (pycompat_frame *f = frame; f != NULL; f = pycompat_frame_caller(f))
        depth++;
    thread_lower(t, t->stack);
    if (t->end != NULL)
        put_gap(t, reason, now >> t->shift > t->last_unit ? (now >> t->shift) - t->last_unit : 0);
    if (!prepare_at(t, now, TRACE_EVENT_SIZE_MAX + depth * 21, &units))
        return;
    cpu = thread_cpu_ns(t);
    t->at = trace_put_cpu(t->at, cpu > t->cpu_last ? cpu - t->cpu_last : 0);
    t->cpu_last = cpu;
    inherit_frames(t, frame);
    put_switch(t, units, 0);
}

/* Beginning. */

static pycompat_frame *outermost(pycompat_frame *frame)
{
    for (pycompat_frame *f = frame; f != NULL; f = pycompat_frame_caller(f))
        frame = f;
    return frame;
}

static char *thread_name(pycompat_frame *frame, bool is_main, size_t *size)
{
    if (!is_main)
        return events_thread_name(frame, size);
    *size = strlen("MainThread");
    return strdup("MainThread");
}

/* threading.Thread._bootstrap(self) is the first frame of a thread that has a name. */
char *events_thread_name(pycompat_frame *frame, size_t *size)
{
    pycompat_frame *first = outermost(frame);
    PyCodeObject *code = pycompat_frame_code(first);

    if (code->co_argcount < 1 || PyUnicode_CompareWithASCIIString(code->co_name, "_bootstrap") != 0)
        return NULL;
    return attribute_thread_name(pycompat_frame_first_local(first), size);
}

static bool is_wanted_thread(const PyThreadState *state)
{
    if (state->interp != PyInterpreterState_Main())
        return false;
    return recorder.settings.threads || syscall(SYS_gettid) == recorder.only_thread;
}

static struct thread *make_thread(pycompat_frame *frame)
{
    bool is_main = syscall(SYS_gettid) == getpid();
    size_t name_size = 0;
    char *name = thread_name(frame, is_main, &name_size);
    struct thread *t = thread_begin(name, name_size, is_main);

    free(name);
    return t;
}

struct thread *events_thread_begin(pycompat_frame *frame, bool entering)
{
    PyThreadState *state = PyThreadState_Get();
    struct thread *t = thread_current;

    if (t != NULL && !t->is_stale)
        return t;
    if (!recorder.running || recorder.settings.sample_ns != 0 || !is_wanted_thread(state))
        return NULL;
    if (t != NULL)
        thread_renew(t);
    else
        t = make_thread(frame);
    if (t == NULL)
        return NULL;
    t->state = state;
    inherit_frames(t, entering ? pycompat_frame_caller(frame) : frame);
    return t;
}
