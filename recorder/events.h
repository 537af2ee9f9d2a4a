/* events.h - the one way an event gets into a trace.
 *
 * A backend translates what its interpreter says into these calls and does nothing else. Clock,
 * code numbers, time steps, chunks and the file are behind them, once, for every Python version.
 *
 * Called with the GIL held, any number of times a microsecond. None allocates on the common path,
 * raises, prints or fails: when recording cannot go on, it ends and the program does not notice.
 *
 * The backend has made sure that the frame it speaks of is on top of the thread's stack
 * (events_align()).
 */
#ifndef RECORDER_EVENTS_H
#define RECORDER_EVENTS_H

#include "formats/trace/encode.h"
#include "recorder/clock.h"
#include "recorder/codes.h"
#include "recorder/pycompat.h"
#include "recorder/suspended.h"
#include "recorder/thread.h"

#define EVENTS_LIKELY(x) __builtin_expect(!!(x), 1)
#define EVENTS_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Kept apart, so that the fast paths need no stack frame. */
#define EVENTS_APART __attribute__((noinline))
#define EVENTS_SLOW __attribute__((noinline, cold))

/* This thread, made known to the trace at its first event; `frame` is the one the event is about,
 * and with `entering` it is not on the stack yet. NULL: nothing is recorded (any more). */
EVENTS_SLOW struct thread *events_thread_begin(pycompat_frame *frame, bool entering);

static inline struct thread *events_thread(pycompat_frame *frame, bool entering)
{
    struct thread *t = thread_current;

    /* A thread with no open frame may be one of a recording that is over. */
    return EVENTS_LIKELY(t != NULL && t->top != t->stack) ? t
                                                          : events_thread_begin(frame, entering);
}

/* The nearest recorded frame from `frame` outward, itself included; NULL: none. */
pycompat_frame *events_recorded_frame(pycompat_frame *frame);

/* The name of the threading.Thread that runs `frame`, for the caller to free. NULL: none. */
char *events_thread_name(pycompat_frame *frame, size_t *size);

/* Makes the thread's stack that of the interpreter, from `frame` (recorded, or NULL: no frame)
 * outward: by RESUME, YIELD and UNWIND where frames were entered or left without a word (throw()
 * passes through generators that wait for another), else by SWITCH (greenlets). */
void events_realign(struct thread *t, pycompat_frame *frame);

static inline void events_align(struct thread *t, pycompat_frame *frame)
{
    if (EVENTS_UNLIKELY(t->top->frame != frame))
        events_realign(t, frame);
}

/* Before a frame is pushed: its caller must be on top, unless it is there itself (event_resume()).
 */
EVENTS_APART void events_find_caller(struct thread *t, const pycompat_frame *frame);

static inline void events_align_caller(struct thread *t, const pycompat_frame *frame)
{
    /* Frames that are no callers themselves never lie where one lay that was recorded. */
    if (EVENTS_UNLIKELY(!pycompat_frame_is_called_by(frame, t->top->frame)))
        events_find_caller(t, frame);
}

/* In units; 0, which is too early for all but the slow ways, if reading the clock takes a call. */
static inline uint64_t events_now(const struct thread *t)
{
    return EVENTS_LIKELY(clock_is_quick()) ? clock_ticks_quick() >> t->shift : 0;
}

/* The time since the last event is `now` less t->last_unit, enormous if the clock went back. The
 * short forms have 4 bits for it; the long ones below this limit a byte. */
#define EVENTS_WIDE_TIME 128

/* What the fast paths leave to others, and then do nothing more, so that they need no stack frame:
 * longer forms; and the rare: a new chunk, a clock that went back, a CPU stamp. */
EVENTS_APART void event_line_wide(struct thread *t, int line, uint64_t now);
EVENTS_APART void event_plain_wide(struct thread *t, enum trace_tag tag, uint8_t form,
                                   uint64_t now);
EVENTS_SLOW void event_call_slow(struct thread *t, const pycompat_frame *frame,
                                 const struct code_info *code);

/* An event of `size` bytes was put in place. */
static inline void events_advance(struct thread *t, size_t size, uint64_t now)
{
    t->last_unit = now;
    t->at += size;
    t->events++;
}

static inline void event_line(struct thread *t, int line)
{
    struct open_frame *top = t->top;
    uint64_t step = (uint32_t)line - (uint32_t)top->line + TRACE_SHORT_LINE_BIAS;
    uint64_t now = events_now(t);
    uint64_t units = now - t->last_unit;

    /* units < TRACE_SHORT_TIME and step < 8 */
    if (EVENTS_LIKELY((units | step << 1) < TRACE_SHORT_TIME && t->at < t->end)) {
        trace_publish(t->at, (uint8_t)(TRACE_SHORT_LINE | step << 4 | units));
        events_advance(t, 1, now);
        top->line = line;
    } else {
        event_line_wide(t, line, now);
    }
}

/* Short or long, with nothing behind the time. Without `form` there is no short one. */
static inline void event_plain(struct thread *t, enum trace_tag tag, uint8_t form, uint64_t now)
{
    uint64_t units = now - t->last_unit;

    if (EVENTS_LIKELY(form != 0 && units < TRACE_SHORT_TIME && t->at < t->end)) {
        trace_publish(t->at, (uint8_t)(form | units));
        events_advance(t, 1, now);
    } else {
        event_plain_wide(t, tag, form, now);
    }
}

static inline void events_push(struct thread *t, struct open_frame *top,
                               const pycompat_frame *frame, const struct code_info *code)
{
    t->top = top;
    top->frame = frame;
    top->activation = thread_new_activation(t);
    top->code = code->number;
    top->line = top->first_line = code->first_line;
    top->generator = code->generator;
}

static inline void event_call(struct thread *t, const pycompat_frame *frame,
                              const struct code_info *code)
{
    struct open_frame *top = t->top + 1;
    uint64_t now = events_now(t);
    uint64_t units = now - t->last_unit;

    if (EVENTS_LIKELY(units < EVENTS_WIDE_TIME && t->at < t->end && top != t->stack_end)) {
        uint8_t *at = t->at;

        if (EVENTS_LIKELY(units < TRACE_SHORT_TIME)) {
            memcpy(at + 1, &code->operand, sizeof code->operand);
            trace_publish(at, (uint8_t)(TRACE_SHORT_CALL | units));
            events_advance(t, 1u + code->operand_size, now);
        } else {
            at[1] = (uint8_t)units;
            memcpy(at + 2, &code->operand, sizeof code->operand);
            trace_publish(at, TRACE_TAG_CALL);
            events_advance(t, 2u + code->operand_size, now);
        }
        events_push(t, top, frame, code);
    } else {
        event_call_slow(t, frame, code);
    }
}

/* The top frame ends or is suspended: where more is to be done than an event in short form and a
 * step down the stack. */
EVENTS_APART void event_return_wide(struct thread *t, uint64_t now);
EVENTS_APART void event_yield_wide(struct thread *t, uint64_t now);

static inline void event_return(struct thread *t)
{
    uint64_t now = events_now(t);
    uint64_t units = now - t->last_unit;

    if (EVENTS_LIKELY(units < TRACE_SHORT_TIME && t->at < t->end && !t->top->generator &&
                      t->top > t->low)) {
        trace_publish(t->at, (uint8_t)(TRACE_SHORT_RETURN | units));
        events_advance(t, 1, now);
        t->top--;
    } else {
        event_return_wide(t, now);
    }
}

void event_unwind(struct thread *t);

/* Suspension. `sequence`: the chunk in which a YIELD says so; EVENTS_NOT_YIELDED for frames that a
 * SWITCH leaves. */
#define EVENTS_NOT_YIELDED UINT64_MAX

static inline void events_note(struct suspended *entry, const struct thread *t,
                               const struct open_frame *f, uint64_t sequence)
{
    entry->activation = f->activation;
    entry->code = f->code;
    entry->line = f->line;
    entry->first_line = f->first_line;
    entry->thread = t->number;
    entry->sequence = sequence;
}

/* The top frame, a generator's or coroutine's, is suspended. */
static inline void event_yield(struct thread *t)
{
    struct open_frame *top = t->top;
    struct suspended *entry = suspended_first(top->frame);
    uint64_t now = events_now(t);
    uint64_t units = now - t->last_unit;

    if (EVENTS_LIKELY(units < TRACE_SHORT_TIME && t->at < t->end && entry->frame == top->frame &&
                      top > t->low)) {
        trace_publish(t->at, (uint8_t)(TRACE_SHORT_YIELD | units));
        events_advance(t, 1, now);
        events_note(entry, t, top, t->sequence);
        t->top--;
    } else {
        event_yield_wide(t, now);
    }
}

/* Was the frame suspended by a YIELD of this thread, in this chunk? Then the reader knows all about
 * it. */
static inline bool events_knows_here(const struct thread *t, const struct suspended *known,
                                     const void *frame, const struct code_info *code)
{
    return known->frame == frame && known->code == code->number && known->thread == t->number &&
           known->sequence == t->sequence &&
           known->activation >> ACTIVATION_THREAD_SHIFT == t->number;
}

/* In place: copying a whole frame that was just built stalls on its own stores. */
static inline void events_reopen(struct open_frame *f, const struct suspended *known)
{
    f->frame = known->frame;
    f->activation = known->activation;
    f->code = known->code;
    f->line = known->line;
    f->first_line = known->first_line;
    f->generator = true;
}

/* A suspended frame, or one that began before recording did, goes on. Nothing happens if it is on
 * top already. */
EVENTS_APART void event_resume_any(struct thread *t, pycompat_frame *frame,
                                   const struct code_info *code);

/* The same, quickly if the frame was suspended a moment ago. */
static inline void event_resume(struct thread *t, pycompat_frame *frame,
                                const struct code_info *code)
{
    const struct suspended *known = suspended_first(frame);
    uint64_t now = events_now(t);
    uint64_t units = now - t->last_unit;
    uint64_t back = t->next - (known->activation & ACTIVATION_NUMBER_MASK);

    if (EVENTS_LIKELY(units < EVENTS_WIDE_TIME && back < 128 && t->at < t->end &&
                      events_knows_here(t, known, frame, code) && t->top + 1 < t->stack_end &&
                      t->top->frame != frame)) {
        t->at[1] = (uint8_t)units;
        t->at[2] = (uint8_t)back;
        trace_publish(t->at, TRACE_TAG_RESUME);
        events_advance(t, 3, now);
        events_reopen(++t->top, known);
    } else {
        event_resume_any(t, frame, code);
    }
}

/* The top frame calls a function of C, of that number (callables.h); and it is back, in whatever
 * way. */
void event_c_call(struct thread *t, uint32_t callable);
void event_c_return(struct thread *t);

/* The program says where it is; `string` is the text's number. */
void event_mark(struct thread *t, uint32_t string);

/* Nothing but a stamp at `now`: what comes before is told from what comes after. `t` may be another
 * thread, if the GIL is held. */
void event_boundary(struct thread *t, uint64_t now);

/* Up to `now` nothing was recorded of `t`, which may be another thread, since its last event, a
 * boundary; now it is where `frame` (NULL: nowhere) says, by frames that are all inherited. */
void event_gap(struct thread *t, pycompat_frame *frame, enum trace_gap_reason reason, uint64_t now);

/* An exception was raised, or passed on, in the top frame. `type` may be anything. */
void event_raise(struct thread *t, PyObject *type);

#endif
