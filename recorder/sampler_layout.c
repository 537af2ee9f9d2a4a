#include "recorder/sampler_layout.h"

#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "recorder/pycompat.h"

#if PYCOMPAT_MINOR >= 11
#define LAYOUT_INTERPRETER_FRAMES 1
#endif

#ifndef Py_BUILD_CORE
#define Py_BUILD_CORE 1
#endif
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>

static struct {
    uintptr_t interpreter;
    uintptr_t newest, next_id; /* where these two of its members stand */
    uintptr_t gil, gil_end;
    size_t native_offset; /* of a thread's native id in what pthread_self() points to; 0: the
                             thread state has it */
    uintptr_t left_out;   /* code of frames that are the interpreter's own */
} layout;

/* Where members stand: as the headers have it, until the interpreter itself has been asked. */

#if PYCOMPAT_MINOR >= 13
#define STATE_FRAME current_frame
#elif PYCOMPAT_MINOR >= 11
#define STATE_FRAME cframe
#else
#define STATE_FRAME frame
#endif

#if PYCOMPAT_MINOR >= 11
#define STATE_NATIVE native_thread_id
#else
#define STATE_NATIVE thread_id
#endif

static struct {
    size_t next, interpreter, frame, native, id;
} state_at = {
    offsetof(PyThreadState, next),        offsetof(PyThreadState, interp),
    offsetof(PyThreadState, STATE_FRAME), offsetof(PyThreadState, STATE_NATIVE),
    offsetof(PyThreadState, id),
};

#if PYCOMPAT_MINOR >= 13
#define FRAME_CODE f_executable
#define FRAME_INSTRUCTION instr_ptr
#elif PYCOMPAT_MINOR >= 11
#define FRAME_CODE f_code
#define FRAME_INSTRUCTION prev_instr
#endif

/* Owners from this one on are C code. */
#if PYCOMPAT_MINOR >= 14
#define FRAME_NOT_PYTHONS FRAME_OWNED_BY_INTERPRETER
#else
#define FRAME_NOT_PYTHONS FRAME_OWNED_BY_CSTACK
#endif

#ifdef LAYOUT_INTERPRETER_FRAMES
static struct {
    size_t outward, code, instruction, owner;
} frame_at = {
    offsetof(pycompat_frame, previous),
    offsetof(pycompat_frame, FRAME_CODE),
    offsetof(pycompat_frame, FRAME_INSTRUCTION),
    offsetof(pycompat_frame, owner),
};
#endif

static struct {
    size_t newest, next_id, gil;
} interpreter_at = {
#if PYCOMPAT_MINOR >= 11
    .newest = offsetof(PyInterpreterState, threads.head),
    .next_id = offsetof(PyInterpreterState, threads.next_unique_id),
#else
    .newest = offsetof(PyInterpreterState, tstate_head),
    .next_id = offsetof(PyInterpreterState, tstate_next_unique_id),
#endif
#if PYCOMPAT_MINOR >= 12
    .gil = offsetof(PyInterpreterState, ceval.gil),
#endif
};

static uintptr_t word_at(const uint8_t *copy, size_t offset)
{
    uintptr_t word;

    memcpy(&word, copy + offset, sizeof word);
    return word;
}

/* --- Threads --- */

/* As much of a thread state as is looked at. */
#if PYCOMPAT_MINOR >= 11
#define STATE_SIZE (offsetof(PyThreadState, datastack_limit) + sizeof(PyObject **))
#else
#define STATE_SIZE (offsetof(PyThreadState, id) + sizeof(uint64_t))
#endif

static bool is_ours(const uint8_t *state)
{
    return word_at(state, state_at.interpreter) == layout.interpreter;
}

static int native_id(const uint8_t *state)
{
#if PYCOMPAT_MINOR >= 11
    return (int)word_at(state, state_at.native);
#else
    unsigned long thread = word_at(state, state_at.native);
    int native = 0;

    if (thread != 0)
        sampler_memory_read((uintptr_t)thread + layout.native_offset, &native, sizeof native);
    return native;
#endif
}

#if PYCOMPAT_MINOR >= 11

/* The main interpreter is not allocated, and never freed. */
bool layout_newest(uintptr_t *state, uint64_t *next_id)
{
    *next_id = __atomic_load_n((const uint64_t *)layout.next_id, __ATOMIC_ACQUIRE);
    *state = __atomic_load_n((const uintptr_t *)layout.newest, __ATOMIC_ACQUIRE);
    return true;
}

#else

bool layout_newest(uintptr_t *state, uint64_t *next_id)
{
    return sampler_memory_read(layout.next_id, next_id, sizeof *next_id) &&
           sampler_memory_read(layout.newest, state, sizeof *state);
}

#endif

bool layout_read_thread(uintptr_t state, struct layout_thread *thread)
{
    uint8_t copy[STATE_SIZE];

    if (state == 0 || !sampler_memory_read(state, copy, sizeof copy) || !is_ours(copy))
        return false;
    *thread = (struct layout_thread){
        .state = state,
        .next = word_at(copy, state_at.next),
        .id = word_at(copy, state_at.id),
        .native = native_id(copy),
    };
    return true;
}

bool layout_is_gil(uintptr_t address)
{
    return address >= layout.gil && address < layout.gil_end;
}

/* --- Frames --- */

#ifdef LAYOUT_INTERPRETER_FRAMES

#define FRAME_SIZE offsetof(pycompat_frame, localsplus)
#define PAGE 4096u

/* Frames stand close together: the page is copied, and the page behind it if the frame goes on
 * there. */
static const void *get_frame(struct sampler_memory *memory, uintptr_t address)
{
    uintptr_t page = address & ~(uintptr_t)(PAGE - 1);
    size_t span = address + FRAME_SIZE - page > PAGE ? 2 * PAGE : PAGE;

    return sampler_memory_get(memory, address, FRAME_SIZE, page, span);
}

/* From 3.14 on what a frame refers to has marks in its lowest bits, which addresses have not. */
static void read_frame(const uint8_t *copy, struct layout_frame *frame)
{
    frame->code = word_at(copy, frame_at.code) & ~(uintptr_t)(_Alignof(PyObject) - 1);
    frame->instruction = word_at(copy, frame_at.instruction);
    frame->owned = copy[frame_at.owner] == FRAME_OWNED_BY_GENERATOR;
#if PYCOMPAT_MINOR >= 12
    if (copy[frame_at.owner] >= FRAME_NOT_PYTHONS || frame->code == layout.left_out)
        frame->code = 0;
#endif
}

static uintptr_t outward(const uint8_t *copy)
{
    return word_at(copy, frame_at.outward);
}

#else

#define FRAME_SIZE (offsetof(PyFrameObject, f_lasti) + sizeof(int))

static const void *get_frame(struct sampler_memory *memory, uintptr_t address)
{
    return sampler_memory_get(memory, address, FRAME_SIZE, address, FRAME_SIZE);
}

static void read_frame(const uint8_t *copy, struct layout_frame *frame)
{
    const PyFrameObject *f = (const PyFrameObject *)(const void *)copy;
    int unit = PYCOMPAT_MINOR >= 10 ? (int)sizeof(_Py_CODEUNIT) : 1;

    frame->code = (uintptr_t)f->f_code;
    frame->instruction = (uintptr_t)(intptr_t)(f->f_lasti < 0 ? 0 : f->f_lasti * unit);
    frame->owned = f->f_gen != NULL;
}

static uintptr_t outward(const uint8_t *copy)
{
    return (uintptr_t)((const PyFrameObject *)(const void *)copy)->f_back;
}

#endif

/* The innermost frame of the thread whose state is copied. False: it cannot be read. */
static bool innermost(struct sampler_memory *memory, const uint8_t *state, uintptr_t *frame)
{
    *frame = word_at(state, state_at.frame);
#if PYCOMPAT_MINOR == 11 || PYCOMPAT_MINOR == 12
    const _PyCFrame *copy = sampler_memory_get(memory, *frame, sizeof *copy, *frame, sizeof *copy);

    if (copy == NULL)
        return false;
    *frame = (uintptr_t)copy->current_frame;
#endif
    (void)memory;
    return true;
}

void layout_leave_out(uintptr_t code)
{
    layout.left_out = code;
}

int layout_walk(struct sampler_memory *memory, uintptr_t state, uint64_t id,
                struct layout_frame *frames, size_t room, bool *more)
{
    const uint8_t *copy = sampler_memory_get(memory, state, STATE_SIZE, state, STATE_SIZE);
    uintptr_t address;
    size_t count = 0;

    *more = false;
    if (copy == NULL || !is_ours(copy) || word_at(copy, state_at.id) != id ||
        !innermost(memory, copy, &address))
        return -1;
    for (; address != 0 && count < room; count++) {
        copy = address % sizeof(void *) == 0 ? get_frame(memory, address) : NULL;
        if (copy == NULL)
            return -1;
        frames[count].address = address;
        read_frame(copy, &frames[count]);
        address = outward(copy);
    }
    *more = address != 0;
    return (int)count;
}

/* --- Beginning --- */

/* The kernel's id of a thread stands in what its pthread_self() points to. */
static bool find_native_offset(void)
{
#if PYCOMPAT_MINOR < 11
    int native = (int)syscall(SYS_gettid);
    unsigned long self = PyThreadState_Get()->thread_id;

    for (size_t offset = 0; offset < 2048; offset += sizeof native) {
        int found = 0;

        if (sampler_memory_read((uintptr_t)self + offset, &found, sizeof found) &&
            found == native) {
            layout.native_offset = offset;
            return true;
        }
    }
    return false;
#else
    return true;
#endif
}

#ifdef PYCOMPAT_OFFSETS

/* From 3.13 on an interpreter says where its members stand, for debuggers' sake: that goes before
 * the headers, which may be of another patch release. */
static bool ask_interpreter(void)
{
    const _Py_DebugOffsets *said = &_PyRuntime.debug_offsets;

    if (memcmp(said->cookie, _Py_Debug_Cookie, sizeof said->cookie) != 0)
        return false;
    interpreter_at.next_id += said->interpreter_state.threads_head - interpreter_at.newest;
    interpreter_at.newest = said->interpreter_state.threads_head;
    interpreter_at.gil = said->interpreter_state.ceval_gil;
    state_at.next = said->thread_state.next;
    state_at.interpreter = said->thread_state.interp;
    state_at.frame = said->thread_state.current_frame;
    state_at.native = said->thread_state.native_thread_id;
    frame_at.outward = said->interpreter_frame.previous;
    frame_at.code = said->interpreter_frame.executable;
    frame_at.instruction = said->interpreter_frame.instr_ptr;
    frame_at.owner = said->interpreter_frame.owner;
    return state_at.next < STATE_SIZE && state_at.interpreter < STATE_SIZE &&
           state_at.frame < STATE_SIZE && state_at.native < STATE_SIZE &&
           frame_at.outward < FRAME_SIZE && frame_at.code < FRAME_SIZE &&
           frame_at.instruction < FRAME_SIZE && frame_at.owner < FRAME_SIZE;
}

#else

static bool ask_interpreter(void)
{
    return true;
}

#endif

static void find_members(void)
{
    layout.interpreter = (uintptr_t)PyInterpreterState_Main();
    layout.newest = layout.interpreter + interpreter_at.newest;
    layout.next_id = layout.interpreter + interpreter_at.next_id;
#if PYCOMPAT_MINOR >= 12
    layout.gil = word_at((const uint8_t *)PyInterpreterState_Main(), interpreter_at.gil);
#else
    layout.gil = (uintptr_t)&_PyRuntime.ceval.gil;
#endif
    layout.gil_end = layout.gil + sizeof(struct _gil_runtime_state);
}

/* Is the calling thread in the list, as what it is? */
static bool finds_itself(void)
{
    struct layout_thread at;
    uintptr_t state;
    uint64_t next_id;

    if (!layout_newest(&state, &next_id))
        return false;
    for (; layout_read_thread(state, &at); state = at.next) {
        if (state == (uintptr_t)PyThreadState_Get())
            return at.native == (int)syscall(SYS_gettid) && at.id <= next_id &&
                   at.id == PyThreadState_GetID(PyThreadState_Get());
    }
    return false;
}

int layout_init(char *why, size_t why_size)
{
    if (find_native_offset() && ask_interpreter()) {
        find_members();
        if (finds_itself())
            return 0;
    }
    snprintf(why, why_size, "this interpreter keeps its threads elsewhere than CPython %s does",
             PY_VERSION);
    return -1;
}
