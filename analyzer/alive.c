#include "analyzer/alive.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/run.h"

/* A whole file of /proc, as far as there is room. Its size, or -1 with errno set. */
static ssize_t read_file(const char *path, char *text, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, room - 1);
    int reason = errno;

    if (fd >= 0)
        close(fd);
    text[size < 0 ? 0 : size] = '\0';
    errno = reason;
    return size;
}

/* The fields behind a process's name: its state, and the 22nd, when it began. */
static bool read_status(const char *text, char *state, unsigned long long *start)
{
    const char *at = strrchr(text, ')'); /* the name may hold anything */

    if (!at || sscanf(at, ") %c", state) != 1)
        return false;
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at && sscanf(at, "%llu", start) == 1;
}

static enum alive look_at(const struct facts_process *process)
{
    char path[64], text[1024], state;
    unsigned long long start;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)process->pid);
    if (read_file(path, text, sizeof text) < 0)
        return kill((pid_t)process->pid, 0) < 0 && errno == ESRCH ? ALIVE_GONE : ALIVE_UNKNOWN;
    if (!read_status(text, &state, &start))
        return ALIVE_UNKNOWN;
    return start == process->start_time && !strchr("ZXx", state) ? ALIVE_RUNNING : ALIVE_GONE;
}

/* Its last facts, if it was in the middle of them. */
static const struct trace_chunk *open_facts(const struct run *run, uint32_t process)
{
    size_t first, count = trace_file_chunks(run->file, TRACE_FACTS, &first);
    const struct trace_chunk *chunks = run->file->chunks + first;
    size_t low = 0, high = count;

    while (low < high) { /* behind all of this process and of those before it */
        size_t middle = low + (high - low) / 2;
        if (chunks[middle].process <= process)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && chunks[low - 1].process == process && chunks[low - 1].kept ? &chunks[low - 1]
                                                                                 : NULL;
}

/* One that is gone may have ended in order since the trace was read: then it ran when that was. */
static enum alive look_after(const struct run *run, const struct facts_process *process)
{
    enum alive found = look_at(process);
    const struct trace_chunk *facts = found == ALIVE_GONE ? open_facts(run, process->number) : NULL;

    return facts && !trace_file_is_unsealed(run->file, facts) ? ALIVE_RUNNING : found;
}

static bool is_same_boot(const struct run *run)
{
    struct trace_bytes recorded = facts_setting(run->facts, "boot_id");
    char text[64];

    return recorded.size > 0 &&
           read_file("/proc/sys/kernel/random/boot_id", text, sizeof text) > 0 &&
           strcspn(text, "\n") == recorded.size && memcmp(text, recorded.at, recorded.size) == 0;
}

void alive_look(struct run *run)
{
    struct stat here;
    bool can_tell = is_same_boot(run) && stat("/proc/self/ns/pid", &here) == 0;

    for (size_t i = 0; can_tell && i < run->process_count; i++) {
        const struct facts_process *process = run->processes[i].facts;

        if (process->known && !process->ended && !process->reaped && process->start_time &&
            process->pid_namespace == here.st_ino && process->pid > 0 && process->pid <= INT_MAX)
            run->processes[i].alive = look_after(run, process);
    }
}
