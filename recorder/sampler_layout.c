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
} layout;

/* --- Threads --- */

#define STATE_MEMBER(type, state, name) (*(const type *)((state) + offsetof(PyThreadState, name)))

/* As much of a thread state as is looked at. */
#if PYCOMPAT_MINOR >= 11
#define STATE_SIZE (offsetof(PyThreadState, datastack_limit) + sizeof(PyObject **))
#else
#define STATE_SIZE (offsetof(PyThreadState, id) + sizeof(uint64_t))
#endif

static bool is_ours(const uint8_t *state)
{
    return (uintptr_t)STATE_MEMBER(PyInterpreterState *, state, interp) == layout.interpreter;
}

static int native_id(const uint8_t *state)
{
#if PYCOMPAT_MINOR >= 11
    return (int)STATE_MEMBER(unsigned long, state, native_thread_id);
#else
    unsigned long thread = STATE_MEMBER(unsigned long, state, thread_id);
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
        .next = (uintptr_t)STATE_MEMBER(PyThreadState *, copy, next),
        .id = STATE_MEMBER(uint64_t, copy, id),
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

static void read_frame(const uint8_t *copy, struct layout_frame *frame)
{
    const pycompat_frame *f = (const pycompat_frame *)(const void *)copy;

#if PYCOMPAT_MINOR >= 13
    frame->code = (uintptr_t)f->f_executable;
    frame->instruction = (uintptr_t)f->instr_ptr;
#else
    frame->code = (uintptr_t)f->f_code;
    frame->instruction = (uintptr_t)f->prev_instr;
#endif
    frame->owned = f->owner == FRAME_OWNED_BY_GENERATOR;
#if PYCOMPAT_MINOR >= 12
    if (f->owner == FRAME_OWNED_BY_CSTACK)
        frame->code = 0;
#endif
}

static uintptr_t outward(const uint8_t *copy)
{
    return (uintptr_t)((const pycompat_frame *)(const void *)copy)->previous;
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
#if PYCOMPAT_MINOR >= 13
    (void)memory;
    *frame = (uintptr_t)STATE_MEMBER(pycompat_frame *, state, current_frame);
#elif PYCOMPAT_MINOR >= 11
    uintptr_t cframe = (uintptr_t)STATE_MEMBER(_PyCFrame *, state, cframe);
    const _PyCFrame *copy = sampler_memory_get(memory, cframe, sizeof *copy, cframe, sizeof *copy);

    if (copy == NULL)
        return false;
    *frame = (uintptr_t)copy->current_frame;
#else
    (void)memory;
    *frame = (uintptr_t)STATE_MEMBER(PyFrameObject *, state, frame);
#endif
    return true;
}

int layout_walk(struct sampler_memory *memory, uintptr_t state, uint64_t id,
                struct layout_frame *frames, size_t room, bool *more)
{
    const uint8_t *copy = sampler_memory_get(memory, state, STATE_SIZE, state, STATE_SIZE);
    uintptr_t address;
    size_t count = 0;

    *more = false;
    if (copy == NULL || !is_ours(copy) || STATE_MEMBER(uint64_t, copy, id) != id ||
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

static void find_members(PyInterpreterState *interpreter)
{
    layout.interpreter = (uintptr_t)interpreter;
#if PYCOMPAT_MINOR >= 11
    layout.newest = (uintptr_t)&interpreter->threads.head;
    layout.next_id = (uintptr_t)&interpreter->threads.next_unique_id;
#else
    layout.newest = (uintptr_t)&interpreter->tstate_head;
    layout.next_id = (uintptr_t)&interpreter->tstate_next_unique_id;
#endif
#if PYCOMPAT_MINOR >= 12
    layout.gil = (uintptr_t)interpreter->ceval.gil;
#else
    layout.gil = (uintptr_t)&_PyRuntime.ceval.gil;
#endif
    layout.gil_end = layout.gil + sizeof(struct _gil_runtime_state);
}

int layout_init(char *why, size_t why_size)
{
#if PYCOMPAT_MINOR >= 14
    snprintf(why, why_size, "sampling is not known for CPython %d.%d", PY_MAJOR_VERSION,
             PY_MINOR_VERSION);
    return -1;
#else
    struct layout_thread self;
    uintptr_t newest;
    uint64_t next_id;

    find_members(PyInterpreterState_Main());
    if (find_native_offset() && layout_newest(&newest, &next_id) &&
        layout_read_thread((uintptr_t)PyThreadState_Get(), &self) &&
        self.native == (int)syscall(SYS_gettid) && self.id <= next_id)
        return 0;
    snprintf(why, why_size, "this interpreter keeps its threads elsewhere than CPython %d.%d does",
             PY_MAJOR_VERSION, PY_MINOR_VERSION);
    return -1;
#endif
}
