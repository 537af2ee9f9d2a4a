#include "recorder/closing.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "recorder/cost.h"
#include "recorder/recorder.h"

/* Where standard error led when we began: the program may put a file of its own there. */
static struct stat first_stderr;

void closing_prepare(void)
{
    fstat(STDERR_FILENO, &first_stderr);
}

static const char *path_as_typed(void)
{
    size_t size = recorder.cwd != NULL ? strlen(recorder.cwd) : 0;

    if (size > 0 && strncmp(recorder.sink.path, recorder.cwd, size) == 0 &&
        recorder.sink.path[size] == '/')
        return recorder.sink.path + size + 1;
    return recorder.sink.path;
}

/* 1234567 -> "1,234,567" */
static const char *with_commas(uint64_t value, char text[32])
{
    char digits[32];
    int size = snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    char *at = text;

    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0)
            *at++ = ',';
        *at++ = digits[i];
    }
    *at = '\0';
    return text;
}

bool closing_owns_stderr(void)
{
    struct stat st;

    return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == first_stderr.st_dev &&
           st.st_ino == first_stderr.st_ino;
}

/* ", 7 threads" */
static void add_count(char *text, size_t size, uint64_t count, const char *one, const char *many)
{
    size_t used = strlen(text);
    char digits[32];

    snprintf(text + used, size - used, ", %s %s", with_commas(count, digits),
             count == 1 ? one : many);
}

/* What the run was stopped by before the program was over, if it was. */
static const char *why_stopped(void)
{
    if (!sink_is_stopped(&recorder.sink))
        return "";
    return sink_stop_reason(&recorder.sink) == TRACE_GAP_FULL
               ? "; recording stopped early, out of space or at the limit given"
               : "; recording stopped early, as the trace could not be written any more";
}

void closing_print(void)
{
    bool sampled = recorder.settings.sample_ns > 0;
    uint32_t processes = sink_process_count(&recorder.sink);
    uint64_t events = sink_count_events(&recorder.sink, 0);
    double megabytes = (double)sink_size(&recorder.sink) / 1e6;
    const char *path = path_as_typed();
    bool usual = strcmp(path, "trace.bin") == 0;
    char counts[128] = "";

    if (recorder.settings.closing_line == 0 || !closing_owns_stderr() ||
        (recorder.settings.closing_line == 1 && !isatty(STDERR_FILENO)))
        return;
    add_count(counts, sizeof counts, events, sampled ? "sample" : "event",
              sampled ? "samples" : "events");
    add_count(counts, sizeof counts, sink_thread_count(&recorder.sink), "thread", "threads");
    add_count(counts, sizeof counts, processes, "process", "processes");
    dprintf(STDERR_FILENO, "pyrec: %s: %.*f MB%s%s; see it with: pyanalyze%s%s\n", path,
            megabytes < 1 ? 2 : 1, megabytes, counts, why_stopped(), usual ? "" : " ",
            usual ? "" : path);
    if (recorder.settings.closing_line > 1)
        cost_print(events, sink_size(&recorder.sink), processes);
}
