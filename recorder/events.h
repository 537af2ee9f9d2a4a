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
static inline void events_align_caller(struct thread *t, const pycompat_frame *frame)
{
    pycompat_frame *caller = pycompat_frame_caller(frame);

    if (EVENTS_UNLIKELY(t->top->frame != caller) && t->top->frame != frame)
        events_realign(t, events_recorded_frame(caller));
}

/* The rarely taken ways: a new chunk, a clock that went back, a CPU stamp, a long form. */
EVENTS_SLOW void event_line_slow(struct thread *t, int line, uint64_t now);
EVENTS_SLOW void event_call_slow(struct thread *t, uint32_t code, uint64_t now);
EVENTS_SLOW void event_plain_slow(struct thread *t, enum trace_tag tag, uint8_t form, uint64_t now);

static inline void event_line(struct thread *t, int line)
{
    struct open_frame *top = t->top;
    uint64_t now = clock_ticks();
    uint64_t units = (now - t->last) >> t->shift; /* enormous if the clock went back */
    uint32_t step = (uint32_t)line - (uint32_t)top->line + TRACE_SHORT_LINE_BIAS;

    if (EVENTS_LIKELY(units < TRACE_SHORT_TIME && step < 8 && t->at < t->end)) {
        t->last += units << t->shift;
        trace_publish(t->at, (uint8_t)(TRACE_SHORT_LINE | step << 4 | units));
        t->at++;
        t->events++;
        top->line = line;
    } else {
        event_line_slow(t, line, now);
    }
}

static inline void event_call(struct thread *t, const pycompat_frame *frame,
                              const struct code_info *code)
{
    uint64_t now = clock_ticks();
    uint64_t units = (now - t->last) >> t->shift;
    struct open_frame *top;

    if (EVENTS_LIKELY(units < TRACE_SHORT_TIME && t->at < t->end)) {
        t->last += units << t->shift;
        t->at = trace_put_operand(t->at, TRACE_TAG_CALL, TRACE_SHORT_CALL, units, code->number);
        t->events++;
    } else {
        event_call_slow(t, code->number, now);
    }
    if (EVENTS_UNLIKELY(t->top + 1 == t->stack_end) && !thread_grow_stack(t))
        return;
    top = ++t->top;
    top->frame = frame;
    top->activation = thread_new_activation(t);
    top->code = code->number;
    top->line = top->first_line = code->first_line;
    top->generator = code->generator;
}

/* Short or long, with nothing behind the time. */
static inline void event_plain(struct thread *t, enum trace_tag tag, uint8_t form)
{
    uint64_t now = clock_ticks();
    uint64_t units = (now - t->last) >> t->shift;

    if (EVENTS_LIKELY(form != 0 && units < TRACE_SHORT_TIME && t->at < t->end)) {
        t->last += units << t->shift;
        trace_publish(t->at, (uint8_t)(form | units));
        t->at++;
        t->events++;
    } else {
        event_plain_slow(t, tag, form, now);
    }
}

static inline void events_pop(struct thread *t)
{
    if (EVENTS_LIKELY(t->top > t->stack))
        t->top--;
    if (t->top < t->low)
        t->low = t->top;
}

/* The top frame is gone for good. */
static inline void events_leave(struct thread *t)
{
    if (EVENTS_UNLIKELY(t->top->generator))
        suspended_remove(t->top->frame);
    events_pop(t);
}

static inline void event_return(struct thread *t)
{
    event_plain(t, TRACE_TAG_RETURN, TRACE_SHORT_RETURN);
    events_leave(t);
}

static inline void event_unwind(struct thread *t)
{
    event_plain(t, TRACE_TAG_UNWIND, 0);
    events_leave(t);
}

/* The top frame, a generator's or coroutine's, is suspended. */
void event_yield(struct thread *t);

/* A suspended frame, or one that began before recording did, goes on. Nothing happens if it is on
 * top already. */
void event_resume(struct thread *t, pycompat_frame *frame, const struct code_info *code);

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
