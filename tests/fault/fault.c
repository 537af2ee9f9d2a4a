/* fault.c - an object for LD_PRELOAD that makes one call of a program fail.
 *
 *     FAULT=CALL:N:MODE   the N-th call of CALL fails (from 1; 0: none does, they are only counted)
 *     FAULT_ERRNO=NUMBER  with this error (EIO)
 *     FAULT_FILE=TEXT     only calls on files whose path contains the text count
 *     FAULT_CALLER=TEXT   only allocations by objects whose path contains the text count
 *     FAULT_PROGRAM=TEXT  only processes count whose executable's path contains the text
 *     FAULT_LOG=PATH      at its end the process appends "CALL COUNT" for each CALL
 *
 * CALL is write (also pwrite, pwritev), fsync (also fdatasync), ftruncate, fallocate
 * (posix_fallocate), rename, link (linkat), open (for writing, or to create), mmap, or malloc (also
 * calloc, realloc). MODE is once, always (from the N-th on), short (a write writes half), or term:
 * nothing fails, but SIGTERM comes before the call. EINTR is an error like others: nothing was done.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum call { WRITE, FSYNC, FTRUNCATE, FALLOCATE, RENAME, LINK, OPEN, MMAP, MALLOC, CALLS };
static const char *const names[CALLS] = {"write", "fsync", "ftruncate", "fallocate", "rename",
                                         "link",  "open",  "mmap",      "malloc"};

static struct {
    bool ready;
    int call; /* which one fails, -1: none */
    unsigned long n;
    bool always, shorten, terminate;
    int error;
    char file[256], caller[256], log[512];
    unsigned long counts[CALLS];
} fault = {.call = -1};

/* --- Settings: copied, as a program may change its environment --- */

static void copy_setting(char *to, size_t size, const char *name)
{
    const char *value = getenv(name);

    snprintf(to, size, "%s", value ? value : "");
}

static bool is_wanted_program(void)
{
    const char *program = getenv("FAULT_PROGRAM");
    char path[512];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);

    path[size < 0 ? 0 : size] = 0;
    return !program || strstr(path, program);
}

__attribute__((constructor)) static void read_settings(void)
{
    const char *value = getenv("FAULT"), *error = getenv("FAULT_ERRNO");
    char mode[16] = "once", name[16] = "";

    if (!value || !is_wanted_program() || sscanf(value, "%15[a-z]:%lu:%15[a-z]", name, &fault.n, mode) < 2)
        return;
    for (int i = 0; i < CALLS; i++)
        if (strcmp(names[i], name) == 0)
            fault.call = i;
    fault.always = strcmp(mode, "always") == 0;
    fault.shorten = strcmp(mode, "short") == 0;
    fault.terminate = strcmp(mode, "term") == 0;
    fault.error = error ? atoi(error) : EIO;
    copy_setting(fault.file, sizeof fault.file, "FAULT_FILE");
    copy_setting(fault.caller, sizeof fault.caller, "FAULT_CALLER");
    copy_setting(fault.log, sizeof fault.log, "FAULT_LOG");
    fault.ready = true;
}

__attribute__((destructor)) static void write_log(void)
{
    char text[512];
    int size = 0;

    if (!fault.ready || !fault.log[0])
        return;
    fault.ready = false;
    for (int i = 0; i < CALLS; i++)
        size += snprintf(text + size, sizeof text - (size_t)size, "%s %lu\n", names[i],
                         fault.counts[i]);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, fault.log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (fd < 0 || syscall(SYS_write, fd, text, size) != size)
        _exit(99);
    syscall(SYS_close, fd);
}

/* --- Counting --- */

static bool counts_path(const char *path)
{
    return fault.ready && (!fault.file[0] || strstr(path, fault.file));
}

static bool counts_fd(int fd)
{
    char link[64], path[512];
    ssize_t size;

    if (!fault.ready || !fault.file[0])
        return fault.ready;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    size = readlink(link, path, sizeof path - 1);
    if (size < 0)
        return false;
    path[size] = 0;
    return strstr(path, fault.file) != NULL;
}

/* Counts the call. True: it is to fail. */
static bool fails(enum call call)
{
    unsigned long count = __atomic_add_fetch(&fault.counts[call], 1, __ATOMIC_RELAXED);

    if ((int)call != fault.call || !fault.n || (fault.always ? count < fault.n : count != fault.n))
        return false;
    if (fault.terminate)
        raise(SIGTERM);
    return !fault.terminate;
}

static void *next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

#define NEXT(name, type) ((type)next(name))

static long fail(void)
{
    errno = fault.error;
    return -1;
}

/* --- Writing --- */

ssize_t write(int fd, const void *bytes, size_t size)
{
    if (counts_fd(fd) && fails(WRITE)) {
        if (!fault.shorten)
            return fail();
        size = size > 1 ? size / 2 : size;
    }
    return syscall(SYS_write, fd, bytes, size);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    if (counts_fd(fd) && fails(WRITE)) {
        if (!fault.shorten)
            return fail();
        size = size > 1 ? size / 2 : size;
    }
    return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t offset)
{
    return pwrite(fd, bytes, size, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    if (counts_fd(fd) && fails(WRITE)) {
        if (!fault.shorten)
            return fail();
        return syscall(SYS_pwrite64, fd, parts[0].iov_base,
                       parts[0].iov_len > 1 ? parts[0].iov_len / 2 : parts[0].iov_len, offset);
    }
    return NEXT("pwritev", ssize_t(*)(int, const struct iovec *, int, off_t))(fd, parts, count,
                                                                              offset);
}

int fsync(int fd)
{
    return counts_fd(fd) && fails(FSYNC) ? (int)fail() : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return counts_fd(fd) && fails(FSYNC) ? (int)fail() : (int)syscall(SYS_fdatasync, fd);
}

int ftruncate(int fd, off_t size)
{
    return counts_fd(fd) && fails(FTRUNCATE) ? (int)fail() : (int)syscall(SYS_ftruncate, fd, size);
}

int ftruncate64(int fd, off_t size)
{
    return ftruncate(fd, size);
}

int posix_fallocate(int fd, off_t offset, off_t size)
{
    if (counts_fd(fd) && fails(FALLOCATE))
        return fault.error;
    return NEXT("posix_fallocate", int (*)(int, off_t, off_t))(fd, offset, size);
}

int posix_fallocate64(int fd, off_t offset, off_t size)
{
    return posix_fallocate(fd, offset, size);
}

/* --- Names --- */

int rename(const char *from, const char *to)
{
    if ((counts_path(from) || counts_path(to)) && fails(RENAME))
        return (int)fail();
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    if (counts_path(to) && fails(LINK))
        return (int)fail();
    return (int)syscall(SYS_linkat, from_dir, from, to_dir, to, flags);
}

static int open_at(int dir, const char *path, int flags, va_list more)
{
    bool writes = (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT;
    mode_t mode = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(more, mode_t) : 0;

    if (writes && counts_path(path) && fails(OPEN))
        return (int)fail();
    return (int)syscall(SYS_openat, dir, path, flags, mode);
}

#define DEFINE_OPEN(name)                                                                          \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list more;                                                                              \
                                                                                                   \
        va_start(more, flags);                                                                     \
        int fd = open_at(AT_FDCWD, path, flags, more);                                             \
        va_end(more);                                                                              \
        return fd;                                                                                 \
    }
DEFINE_OPEN(open)
DEFINE_OPEN(open64)

#define DEFINE_OPENAT(name)                                                                        \
    int name(int dir, const char *path, int flags, ...)                                            \
    {                                                                                              \
        va_list more;                                                                              \
                                                                                                   \
        va_start(more, flags);                                                                     \
        int fd = open_at(dir, path, flags, more);                                                  \
        va_end(more);                                                                              \
        return fd;                                                                                 \
    }
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)

/* --- Memory --- */

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (fd >= 0 && counts_fd(fd) && fails(MMAP)) {
        fail();
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
}

void *mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    return mmap(at, size, protection, flags, fd, offset);
}

/* glibc's own names: looking the others up allocates. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);

static bool refuses_memory(const void *caller)
{
    Dl_info info;

    if (!fault.ready || fault.call != MALLOC)
        return false;
    if (fault.caller[0] &&
        (!dladdr(caller, &info) || !info.dli_fname || !strstr(info.dli_fname, fault.caller)))
        return false;
    if (!fails(MALLOC))
        return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return refuses_memory(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return refuses_memory(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    return refuses_memory(__builtin_return_address(0)) ? NULL : __libc_realloc(block, size);
}
