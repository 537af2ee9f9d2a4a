#include "formats/output.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/error.h"

enum { BUFFER_SIZE = 1 << 16, NAME_ATTEMPTS = 1000 };

/* One file of the family. */
struct part {
    char *path;      /* owned: what it will be called */
    char *temporary; /* owned: what it is called until then, NULL while it has no name */
};

struct output {
    struct output_terminal terminal;
    char *path;      /* owned: the first file, with links resolved; NULL on stdout */
    char *directory; /* owned: of `path`; NULL if written to directly */
    struct part *parts;
    size_t part_count;
    int fd;      /* of the last part, -1 once closed */
    bool memory; /* nothing but an fd */
    int failure; /* errno of the first failure */
    bool holds_signals;
    sigset_t signals; /* that were blocked before */
    size_t used;
    char buffer[BUFFER_SIZE];
};

static void fail(struct output *out, int failure)
{
    if (out->failure == 0)
        out->failure = failure;
}

static int report(const struct output *out, const char *path, struct error *err)
{
    return error_set(err, "%s: cannot write: %s", path != NULL ? path : "standard output",
                     strerror(out->failure));
}

/* ---- opening ---- */

static struct output *new_output(struct error *err)
{
    struct output *out = calloc(1, sizeof *out);

    if (out == NULL)
        error_set(err, "out of memory");
    else
        out->fd = -1;
    return out;
}

struct output *output_open_stdout(const struct output_terminal *terminal, struct error *err)
{
    struct output *out = new_output(err);

    if (out != NULL) {
        out->fd = STDOUT_FILENO;
        if (terminal != NULL)
            out->terminal = *terminal;
    }
    return out;
}

/* As long as a temporary file has a name, a signal that ends the process waits until it has none:
 * flush() looks for one and fails, and output_close() takes the name away. */
static void hold_signals(struct output *out)
{
    sigset_t ending;

    if (out->holds_signals)
        return;
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    out->holds_signals = sigprocmask(SIG_BLOCK, &ending, &out->signals) == 0;
}

static bool is_to_end(const struct output *out)
{
    sigset_t pending;

    return out->holds_signals && sigpending(&pending) == 0 &&
           ((sigismember(&pending, SIGINT) && !sigismember(&out->signals, SIGINT)) ||
            (sigismember(&pending, SIGTERM) && !sigismember(&out->signals, SIGTERM)) ||
            (sigismember(&pending, SIGHUP) && !sigismember(&out->signals, SIGHUP)));
}

/* A free name for a temporary file: created if `fd` is -1 (its descriptor is the result), else a
 * link to `fd`. */
static int name_temporary(struct output *out, int fd, char **name)
{
    char source[64];

    hold_signals(out);
    snprintf(source, sizeof source, "/proc/self/fd/%d", fd);
    for (int i = 0; i < NAME_ATTEMPTS; i++) {
        int result;

        if (asprintf(name, "%s/.pyanalyze-%ld-%d.tmp", out->directory, (long)getpid(), i) < 0) {
            *name = NULL;
            errno = ENOMEM;
            return -1;
        }
        result = fd < 0 ? open(*name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666)
                        : linkat(AT_FDCWD, source, AT_FDCWD, *name, AT_SYMLINK_FOLLOW);
        if (result >= 0)
            return result;
        free(*name);
        *name = NULL;
        if (errno != EEXIST)
            return -1;
    }
    return -1;
}

/* A nameless file is the best temporary one; not every file system has them, and naming it needs
 * /proc. */
static int open_nameless(const char *directory)
{
    if (access("/proc/self/fd", X_OK) != 0)
        return -1;
    return open(directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
}

/* Starts the file that will be called `path` (taken over). */
static int open_part(struct output *out, char *path)
{
    struct part *parts =
        path == NULL ? NULL : realloc(out->parts, (out->part_count + 1) * sizeof *parts);
    struct part *part;

    if (parts == NULL) {
        free(path);
        errno = ENOMEM;
        return -1;
    }
    out->parts = parts;
    part = &parts[out->part_count++];
    *part = (struct part){.path = path};
    out->fd = open_nameless(out->directory);
    if (out->fd < 0)
        out->fd = name_temporary(out, -1, &part->temporary);
    return out->fd < 0 ? -1 : 0;
}

/* Where `path` leads: a link is written through, not replaced. NULL: out of memory. */
static char *resolve(const char *path)
{
    char *real = realpath(path, NULL);

    return real != NULL ? real : strdup(path);
}

static char *directory_of(const char *path)
{
    char *copy = strdup(path);
    char *result = copy == NULL ? NULL : strdup(dirname(copy));

    free(copy);
    return result;
}

static bool is_special(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

static int open_at(struct output *out, const char *path)
{
    struct stat status;

    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        errno = EISDIR;
        return -1;
    }
    out->path = resolve(path);
    if (out->path == NULL)
        return -1;
    if (is_special(path)) {
        out->fd = open(path, O_WRONLY | O_CLOEXEC);
        return out->fd < 0 ? -1 : 0;
    }
    out->directory = directory_of(out->path);
    if (out->directory == NULL)
        return -1;
    return open_part(out, strdup(out->path));
}

struct output *output_open_file(const char *path, struct error *err)
{
    struct output *out = new_output(err);

    if (out != NULL && open_at(out, path) < 0) {
        error_set(err, "%s: cannot write: %s", path, strerror(errno));
        output_close(out);
        return NULL;
    }
    return out;
}

struct output *output_open_memory(struct error *err)
{
    struct output *out = new_output(err);

    if (out == NULL)
        return NULL;
    out->memory = true;
    out->fd = memfd_create("pyanalyze", MFD_CLOEXEC);
    if (out->fd >= 0)
        return out;
    error_set(err, "no memory to write to: %s", strerror(errno));
    output_close(out);
    return NULL;
}

/* ---- writing ---- */

static void write_through(struct output *out, const char *bytes, size_t size)
{
    while (size > 0 && out->failure == 0) {
        ssize_t written = write(out->fd, bytes, size);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            fail(out, errno);
        } else {
            bytes += written;
            size -= (size_t)written;
        }
    }
}

static void flush(struct output *out)
{
    if (is_to_end(out))
        fail(out, EINTR);
    write_through(out, out->buffer, out->used);
    out->used = 0;
}

void output_write(struct output *out, const void *bytes, size_t size)
{
    if (size > BUFFER_SIZE - out->used) {
        flush(out);
        if (size >= BUFFER_SIZE) {
            write_through(out, bytes, size);
            return;
        }
    }
    if (size > 0)
        memcpy(out->buffer + out->used, bytes, size);
    out->used += size;
}

void output_text(struct output *out, const char *text)
{
    output_write(out, text, strlen(text));
}

void output_format(struct output *out, const char *format, ...)
{
    char small[512];
    char *large = NULL;
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(small, sizeof small, format, arguments);
    va_end(arguments);
    if (size < 0) {
        fail(out, errno);
    } else if ((size_t)size < sizeof small) {
        output_write(out, small, (size_t)size);
    } else {
        va_start(arguments, format);
        size = vasprintf(&large, format, arguments);
        va_end(arguments);
        if (size < 0) {
            fail(out, ENOMEM);
            return;
        }
        output_write(out, large, (size_t)size);
        free(large);
    }
}

void output_uint(struct output *out, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    output_write(out, digits + at, sizeof digits - at);
}

void output_json_string(struct output *out, const char *text)
{
    output_text(out, "\"");
    while (*text != '\0') {
        size_t size = strcspn(text, "\"\\");

        output_write(out, text, size);
        text += size;
        if (*text != '\0') {
            output_text(out, "\\");
            output_write(out, text++, 1);
        }
    }
    output_text(out, "\"");
}

const struct output_terminal *output_terminal(const struct output *out)
{
    return &out->terminal;
}

bool output_failed(const struct output *out)
{
    return out->failure != 0;
}

/* ---- committing ---- */

/* Brings the last part to the disk, under a temporary name. */
static int finish_part(struct output *out)
{
    struct part *part = &out->parts[out->part_count - 1];
    int failed;

    flush(out);
    if (out->failure != 0)
        return -1;
    failed = fsync(out->fd) < 0 && errno != EINVAL && errno != EROFS;
    if (!failed && part->temporary == NULL)
        failed = name_temporary(out, out->fd, &part->temporary) < 0;
    if (failed)
        fail(out, errno);
    if (close(out->fd) < 0)
        fail(out, errno);
    out->fd = -1;
    return out->failure != 0 ? -1 : 0;
}

int output_take(struct output *out, void **bytes, size_t *size, struct error *err)
{
    struct stat status;

    flush(out);
    if (out->failure == 0 && fstat(out->fd, &status) < 0)
        fail(out, errno);
    *size = out->failure == 0 ? (size_t)status.st_size : 0;
    *bytes = malloc(*size + 1);
    if (*bytes == NULL)
        return error_set(err, "out of memory");
    for (size_t at = 0; at < *size && out->failure == 0;) {
        ssize_t read = pread(out->fd, (char *)*bytes + at, *size - at, (off_t)at);

        at += read > 0 ? (size_t)read : 0;
        if (read <= 0)
            fail(out, read < 0 ? errno : EIO);
    }
    return out->failure == 0 ? 0 : report(out, "memory", err);
}

int output_next_file(struct output *out, const char *suffix, struct error *err)
{
    char *path = NULL;

    if (out->directory == NULL)
        return error_set(err, "%s: several files cannot be written there; name a file with -o",
                         out->path != NULL ? out->path : "standard output");
    if (finish_part(out) < 0)
        return report(out, out->path, err);
    if (asprintf(&path, "%s%s", out->path, suffix) < 0)
        path = NULL;
    if (open_part(out, path) < 0) {
        fail(out, errno);
        return report(out, out->path, err);
    }
    return 0;
}

/* A renamed file is safe from a power failure once its directory is on the disk too. */
static void sync_directory(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) {
        if (fsync(fd) < 0)
            errno = 0; /* not every file system can */
        close(fd);
    }
}

static int rename_parts(struct output *out, struct error *err)
{
    for (size_t i = 0; i < out->part_count; i++) {
        struct part *part = &out->parts[i];

        if (rename(part->temporary, part->path) < 0) {
            fail(out, errno);
            return report(out, part->path, err);
        }
        free(part->temporary);
        part->temporary = NULL;
    }
    sync_directory(out->directory);
    return 0;
}

int output_commit(struct output *out, struct error *err)
{
    if (out->directory != NULL) {
        if (out->fd >= 0 && finish_part(out) < 0)
            return report(out, out->path, err);
        return rename_parts(out, err);
    }
    flush(out);
    if (out->failure == EPIPE && out->path == NULL)
        return 0;
    return out->failure != 0 ? report(out, out->path, err) : 0;
}

void output_close(struct output *out)
{
    if (out == NULL)
        return;
    if (out->fd >= 0 && (out->path != NULL || out->memory))
        close(out->fd);
    for (size_t i = 0; i < out->part_count; i++) {
        if (out->parts[i].temporary != NULL)
            unlink(out->parts[i].temporary);
        free(out->parts[i].temporary);
        free(out->parts[i].path);
    }
    if (out->holds_signals)
        sigprocmask(SIG_SETMASK, &out->signals, NULL);
    free(out->parts);
    free(out->directory);
    free(out->path);
    free(out);
}
