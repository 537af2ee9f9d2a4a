#include "recorder/fit.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "recorder/pycompat.h"

static int check_version(char *why, size_t why_size)
{
    char built[16];
    const char *version = Py_GetVersion();

    snprintf(built, sizeof built, "%d.%d.", PY_MAJOR_VERSION, PY_MINOR_VERSION);
    if (strncmp(version, built, strlen(built)) == 0)
        return 0;
    snprintf(why, why_size, "this recorder was built for CPython %d.%d, the interpreter is %.*s",
             PY_MAJOR_VERSION, PY_MINOR_VERSION, (int)strcspn(version, " "), version);
    return -1;
}

#ifdef PYCOMPAT_OFFSETS

#include <internal/pycore_runtime.h>

/* One line a member that is read in place: where the interpreter says that it is, and where it is
 * for us. */
#define MEMBER(said, type, member)                                                                 \
    {                                                                                              \
        offsetof(_Py_DebugOffsets, said), offsetof(type, member)                                   \
    }

static const struct {
    size_t said, known;
} members[] = {
    MEMBER(runtime_state.interpreters_head, _PyRuntimeState, interpreters.head),
    MEMBER(thread_state.next, PyThreadState, next),
    MEMBER(thread_state.interp, PyThreadState, interp),
    MEMBER(thread_state.current_frame, PyThreadState, current_frame),
    MEMBER(thread_state.thread_id, PyThreadState, thread_id),
    MEMBER(interpreter_frame.previous, pycompat_frame, previous),
    MEMBER(interpreter_frame.executable, pycompat_frame, f_executable),
    MEMBER(interpreter_frame.instr_ptr, pycompat_frame, instr_ptr),
    MEMBER(interpreter_frame.owner, pycompat_frame, owner),
    MEMBER(interpreter_frame.localsplus, pycompat_frame, localsplus),
    MEMBER(code_object.filename, PyCodeObject, co_filename),
    MEMBER(code_object.qualname, PyCodeObject, co_qualname),
    MEMBER(code_object.firstlineno, PyCodeObject, co_firstlineno),
    MEMBER(code_object.linetable, PyCodeObject, co_linetable),
    MEMBER(code_object.co_code_adaptive, PyCodeObject, co_code_adaptive),
};

static bool is_laid_out_as_known(void)
{
    const uint8_t *offsets = (const uint8_t *)&_PyRuntime.debug_offsets;
    uint64_t said;

    if (memcmp(_PyRuntime.debug_offsets.cookie, _Py_Debug_Cookie, sizeof(uint64_t)) != 0)
        return false;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        memcpy(&said, offsets + members[i].said, sizeof said);
        if (said != members[i].known)
            return false;
    }
    return true;
}

#else

static bool is_laid_out_as_known(void)
{
    return true;
}

#endif

int fit_check(char *why, size_t why_size)
{
    const char *version = Py_GetVersion();
    char program[PATH_MAX];
    ssize_t size;

    if (check_version(why, why_size) < 0)
        return -1;
    if (is_laid_out_as_known())
        return 0;
    size = readlink("/proc/self/exe", program, sizeof program - 1);
    snprintf(
        why, why_size,
        "CPython %.*s is laid out otherwise than %s, which this recorder was built for; build it "
        "anew: make PYTHON=%.*s",
        (int)strcspn(version, " "), version, PY_VERSION, size < 0 ? 0 : (int)size, program);
    return -1;
}
