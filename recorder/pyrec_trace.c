#include "recorder/pyrec_trace.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "formats/trace/encode.h"
#include "formats/trace/trace.h"
#include "recorder/clock.h"
#include "recorder/pyrec_settings.h"
#include "recorder/sink.h"

/* Its number is out of the way of the program's. */
#define FIRST_DESCRIPTOR 100

/* ---- the name ---- */

int pyrec_trace_expand(const char *pattern, unsigned long process, unsigned long number, char *out,
                       size_t size)
{
    bool has_number = false;
    size_t at = 0;

    for (; *pattern != '\0' && at < size; pattern++) {
        if (*pattern != '%') {
            out[at++] = *pattern;
            continue;
        }
        switch (*++pattern) {
        case '%':
            out[at++] = '%';
            break;
        case 'p':
            at += (size_t)snprintf(out + at, size - at, "%lu", process);
            break;
        case 'n':
            at += (size_t)snprintf(out + at, size - at, "%lu", number);
            has_number = true;
            break;
        default:
            return -1;
        }
    }
    if (at >= size)
        return -1;
    out[at] = '\0';
    return has_number;
}

/* `name` as an absolute path whose folder has no symbolic link in it; the file's own name stays as
 * it is. */
static int resolve(const char *name, char path[PATH_MAX], struct pyrec_error *err)
{
    const char *slash = strrchr(name, '/');
    const char *base = slash == NULL ? name : slash + 1;
    char folder[PATH_MAX] = ".";
    char real[PATH_MAX];
    const char *between;

    if (slash != NULL)
        snprintf(folder, sizeof folder, "%.*s", slash == name ? 1 : (int)(slash - name), name);
    if (base[0] == '\0' || strcmp(base, ".") == 0 || strcmp(base, "..") == 0)
        return pyrec_error_set(err, PYREC_FAILED, "%s: is a folder, not a file", name);
    if (realpath(folder, real) == NULL)
        return pyrec_error_set(err, PYREC_FAILED, "%s: cannot be written: %s", name,
                               strerror(errno));
    between = strcmp(real, "/") == 0 ? "" : "/";
    if (snprintf(path, PATH_MAX, "%s%s%s", real, between, base) >= PATH_MAX)
        return pyrec_error_set(err, PYREC_FAILED, "%s: the name is too long", name);
    return 0;
}

/* ---- what stands at the name ---- */

/* 1 a trace, 0 some other file, -1 it cannot be read (errno). */
static int is_trace(int fd)
{
    char magic[TRACE_MAGIC_SIZE];
    ssize_t size = pread(fd, magic, sizeof magic, 0);

    if (size < 0)
        return -1;
    return size == (ssize_t)sizeof magic && memcmp(magic, TRACE_MAGIC, sizeof magic) == 0;
}

/* A regular file at the name: may it go? `lock` then holds it, if it is a trace, so that no other
 * run takes it meanwhile. */
static int check_file(const char *path, bool force, int *lock, struct pyrec_error *err)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int kind = fd < 0 ? -1 : is_trace(fd);
    int result = 0;

    if (kind < 0 && !force)
        result =
            pyrec_error_set(err, PYREC_FAILED, "%s: cannot be read: %s", path, strerror(errno));
    else if (kind == 0 && !force)
        result = pyrec_error_set(err, PYREC_FAILED,
                                 "%s: is there and is no trace (--force replaces it)", path);
    else if (kind > 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        result = pyrec_error_set(err, PYREC_FAILED, "%s: is being recorded", path);
    if (fd >= 0 && (result < 0 || kind <= 0)) {
        close(fd);
        fd = -1;
    }
    *lock = fd;
    return result;
}

/* Whatever is at the name: may it go? A symbolic link is neither followed nor replaced: it may lead
 * into somebody else's file, and be /dev/stdout. */
static int check_existing(const char *path, bool force, int *lock, struct pyrec_error *err)
{
    const char *kind = "not a regular file";
    struct stat status;

    *lock = -1;
    if (lstat(path, &status) < 0) {
        if (errno == ENOENT)
            return 0;
        return pyrec_error_set(err, PYREC_FAILED, "%s: cannot be written: %s", path,
                               strerror(errno));
    }
    if (S_ISREG(status.st_mode))
        return check_file(path, force, lock, err);
    if (S_ISDIR(status.st_mode))
        kind = "a folder, not a file";
    else if (S_ISLNK(status.st_mode))
        kind = "a symbolic link, which is not followed";
    return pyrec_error_set(err, PYREC_FAILED, "%s: is %s", path, kind);
}

/* ---- putting it in place ---- */

/* Opens what was just created, locked as every process that records has it. */
static int hold(const char *path)
{
    int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    int held = -1;

    if (fd < 0)
        return -1;
    if (flock(fd, LOCK_SH) == 0)
        held = fcntl(fd, F_DUPFD, FIRST_DESCRIPTOR);
    close(fd);
    return held;
}

/* A trace of the same name is kept beside, unless something else than a trace would have to go for
 * it. */
static int keep_old(const char *path, bool force, struct pyrec_error *err)
{
    char kept[PATH_MAX + sizeof ".old"];
    int lock = -1;
    int result;

    snprintf(kept, sizeof kept, "%s.old", path);
    result = check_existing(kept, force, &lock, err);
    if (result == 0 && rename(path, kept) < 0)
        result = pyrec_error_set(err, PYREC_FAILED, "%s: cannot be kept as %s: %s", path, kept,
                                 strerror(errno));
    if (lock >= 0)
        close(lock);
    return result;
}

/* Without replacing anything, where the file system can promise that. */
static int rename_new(const char *from, const char *to, bool replace)
{
    if (replace)
        return rename(from, to);
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (access(to, F_OK) == 0) {
        errno = EEXIST;
        return -1;
    }
    return rename(from, to);
}

/* The finished file `from` gets its name. 0; 1: the name was taken meanwhile; -1. What has a number
 * displaces nothing: whatever is there now has come since that number was free. */
static int put_in_place(const char *from, bool has_number, struct pyrec_trace *trace,
                        const struct pyrec_options *options, struct pyrec_error *err)
{
    const char *path = trace->path;
    int lock = -1;
    int result;

    if (!has_number && check_existing(path, options->force, &lock, err) < 0)
        return -1;
    result = lock < 0 ? 0 : keep_old(path, options->force, err);
    if (result == 0 && rename_new(from, path, options->force && !has_number) < 0)
        result = errno == EEXIST ? 1
                                 : pyrec_error_set(err, PYREC_FAILED, "%s: cannot be written: %s",
                                                   path, strerror(errno));
    trace->displaced = result == 0 && lock >= 0;
    if (lock >= 0)
        close(lock);
    return result;
}

/* The first free number from `number` on; the name is taken when it is put in place, so this may be
 * too late. */
static int choose_name(const char *pattern, unsigned long *number, char path[PATH_MAX],
                       struct pyrec_error *err)
{
    char name[PATH_MAX];
    struct stat status;
    int has_number;

    for (;; ++*number) {
        has_number =
            pyrec_trace_expand(pattern, (unsigned long)getpid(), *number, name, sizeof name);
        if (has_number < 0)
            return pyrec_error_set(
                err, PYREC_USAGE, "--out: too long, or %% not followed by p, n or %%: %s", pattern);
        if (resolve(name, path, err) < 0)
            return -1;
        if (!has_number || lstat(path, &status) < 0)
            return has_number;
    }
}

static int place(const char *from, const struct pyrec_options *options, struct pyrec_trace *trace,
                 struct pyrec_error *err)
{
    unsigned long number = 1;
    int has_number, result;

    do {
        has_number = choose_name(options->out, &number, trace->path, err);
        result = has_number < 0 ? -1 : put_in_place(from, has_number, trace, options, err);
    } while (result > 0 && has_number > 0);
    if (result > 0)
        return pyrec_error_set(err, PYREC_FAILED, "%s: another run has just taken this name",
                               trace->path);
    return result;
}

/* ---- creating ---- */

/* A recording that would stop at once is refused before the program runs. */
static int check_space(const char *path, const struct pyrec_options *options, uint64_t *min_free,
                       struct pyrec_error *err)
{
    char folder[PATH_MAX];
    struct statvfs disk;
    uint64_t free_bytes;

    *min_free = options->min_free_is_percent ? 0 : options->min_free;
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path) + 1, path);
    if (statvfs(folder, &disk) < 0 || disk.f_blocks == 0)
        return 0;
    if (options->min_free_is_percent)
        *min_free = disk.f_blocks / 100 * options->min_free * disk.f_frsize;
    free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (free_bytes >= *min_free)
        return 0;
    return pyrec_error_set(
        err, PYREC_FAILED, "%s: %llu MiB are free there, less than --min-free (%llu MiB)", path,
        (unsigned long long)(free_bytes >> 20), (unsigned long long)(*min_free >> 20));
}

static int create(const char *path, const char *shown, const struct pyrec_options *options,
                  const char *python, uint64_t min_free, char mark[33], struct pyrec_error *err)
{
    struct pyrec_settings settings;
    struct sigaction before;
    char why[512] = "";
    int result;

    if (pyrec_settings_collect(options, python, min_free, &settings, err) < 0)
        return -1;
    /* At a limit of file size an error is enough; the program gets the signal as it was. */
    sigaction(SIGXFSZ, &(struct sigaction){.sa_handler = SIG_IGN}, &before);
    result = sink_create(path, settings.items, settings.count, mark, why, sizeof why);
    sigaction(SIGXFSZ, &before, NULL);
    pyrec_settings_free(&settings);
    if (result != 0)
        return pyrec_error_set(err, PYREC_FAILED, "%s: cannot be written: %s", shown,
                               strerror(result));
    return 0;
}

/* The name it has while it is made. */
static void name_unfinished(const char *path, char unfinished[PATH_MAX + 64])
{
    snprintf(unfinished, PATH_MAX + 64, "%.*s.pyrec-%ld.new", (int)(strrchr(path, '/') - path) + 1,
             path, (long)getpid());
}

int pyrec_trace_create(const struct pyrec_options *options, const char *python,
                       struct pyrec_trace *trace, struct pyrec_error *err)
{
    char unfinished[PATH_MAX + 64];
    unsigned long number = 1;
    uint64_t min_free;
    int has_number, existing = -1;

    trace->lock = -1;
    trace->displaced = false;
    has_number = choose_name(options->out, &number, trace->path, err);
    if (has_number < 0 ||
        (!has_number && check_existing(trace->path, options->force, &existing, err) < 0))
        return -1;
    if (existing >= 0)
        close(existing);
    name_unfinished(trace->path, unfinished);
    if (check_space(trace->path, options, &min_free, err) < 0 ||
        create(unfinished, trace->path, options, python, min_free, trace->mark, err) < 0)
        return -1;
    trace->lock = hold(unfinished);
    if (place(unfinished, options, trace, err) == 0)
        return 0;
    unlink(unfinished);
    pyrec_trace_release(trace);
    return -1;
}

void pyrec_trace_release(struct pyrec_trace *trace)
{
    if (trace->lock >= 0)
        close(trace->lock);
    trace->lock = -1;
}

bool pyrec_trace_is_there(const struct pyrec_trace *trace)
{
    uint8_t mark[TRACE_MARK_SIZE];
    char digits[2 * TRACE_MARK_SIZE + 1];
    int fd = open(trace->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : pread(fd, mark, sizeof mark, TRACE_HEADER_MARK);

    if (fd >= 0)
        close(fd);
    if (size != (ssize_t)sizeof mark)
        return false;
    for (int i = 0; i < TRACE_MARK_SIZE; i++)
        snprintf(digits + 2 * i, 3, "%02x", mark[i]);
    return strcmp(digits, trace->mark) == 0;
}

void pyrec_trace_note_end(const struct pyrec_trace *trace, pid_t pid, int status)
{
    struct sink_chunk chunk = {.kind = TRACE_FACTS}; /* of no process of the run */
    uint8_t fields[3 * TRACE_VARINT_SIZE_MAX];
    uint8_t record[1 + TRACE_VARINT_SIZE_MAX + sizeof fields] = {TRACE_FACT_CHILD};
    uint8_t *at = fields;
    struct sink sink;
    char why[256];

    if (sink_open(&sink, trace->path, trace->mark, why, sizeof why) < 0)
        return;
    chunk.ticks = clock_ticks();
    chunk.monotonic_ns = clock_read_ns(CLOCK_MONOTONIC);
    at = trace_put_varint(at, (uint64_t)pid);
    at = trace_put_varint(at, (uint64_t)(unsigned)status);
    at = trace_put_varint(at, chunk.ticks);
    at = trace_put_string(record + 1, fields, (size_t)(at - fields));
    sink_append(&sink, &chunk, record, (size_t)(at - record));
    sink_close(&sink);
}

void pyrec_trace_remove(struct pyrec_trace *trace)
{
    char kept[PATH_MAX + sizeof ".old"];

    snprintf(kept, sizeof kept, "%s.old", trace->path);
    if (trace->displaced)
        rename(kept, trace->path);
    else
        unlink(trace->path);
    pyrec_trace_release(trace);
}
