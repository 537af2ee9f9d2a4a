#include "recorder/sampler_state.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "recorder/sampler_layout.h"

static int open_file(int tasks, int native, const char *file)
{
    char path[64];

    snprintf(path, sizeof path, "%d/%s", native, file);
    return openat(tasks, path, O_RDONLY | O_CLOEXEC);
}

/* What stands in field `number` of stat, from the third on: its name, before it, may hold anything.
 */
static const char *find_field(const char *text, int number)
{
    const char *at = strrchr(text, ')');

    for (int field = 2; at != NULL && field < number; field++)
        at = strchr(at + 1, ' ');
    return at != NULL ? at + 1 : NULL;
}

/* A program that gave up its privileges may not read in which system call its threads are, but
 * whether they are ready to run. */
static void open_state(struct sampler_state *state, int tasks, int native)
{
    state->fd = open_file(tasks, native, "syscall");
    state->is_stat = state->fd < 0;
    if (state->is_stat)
        state->fd = open_file(tasks, native, "stat");
}

static enum trace_sample_tag read_stat(const char *text)
{
    const char *state = find_field(text, 3);

    return state != NULL && *state == 'R' ? TRACE_SAMPLE_RUNNING : TRACE_SAMPLE_BLOCKED;
}

static enum trace_sample_tag read_syscall(const char *text)
{
    unsigned long call, argument;

    if (text[0] == 'r') /* running */
        return TRACE_SAMPLE_RUNNING;
    if (sscanf(text, "%lu %lx", &call, &argument) == 2 && call == SYS_futex &&
        layout_is_gil(argument))
        return TRACE_SAMPLE_GIL;
    return TRACE_SAMPLE_BLOCKED;
}

enum trace_sample_tag sampler_state_read(struct sampler_state *state, int tasks, int native,
                                         bool ran)
{
    char text[128];
    ssize_t size;

    if (state->fd < 0 && tasks >= 0)
        open_state(state, tasks, native);
    size = state->fd < 0 ? -1 : pread(state->fd, text, sizeof text - 1, 0);
    if (size <= 0)
        return ran ? TRACE_SAMPLE_RUNNING : TRACE_SAMPLE_BLOCKED;
    text[size] = '\0';
    return state->is_stat ? read_stat(text) : read_syscall(text);
}

int sampler_state_processor(int tasks, int native)
{
    char text[1024];
    int fd = open_file(tasks, native, "stat"), processor = -1;
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    const char *at;

    if (fd >= 0)
        close(fd);
    if (size <= 0)
        return -1;
    text[size] = '\0';
    at = find_field(text, 39);
    return at != NULL && sscanf(at, "%d", &processor) == 1 ? processor : -1;
}
