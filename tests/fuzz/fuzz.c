#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/trace/crc32c.h"

bool fuzz_thorough;

static char folder[64], empty_folder[80], path[128], output_path[128];

void fuzz_broken(const char *file, int line, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "%s:%d: ", file, line);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    abort();
}

static void remove_folder(void)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0) /* NOLINT(cert-env33-c): our own name */
        fprintf(stderr, "%s: not removed\n", folder);
}

const char *scratch_folder(void)
{
    if (!folder[0]) {
        const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

        snprintf(folder, sizeof folder, "%s/pyrec-fuzz-XXXXXX", base);
        FUZZ_CLAIM(mkdtemp(folder), "%s: no folder", folder);
        atexit(remove_folder);
    }
    return folder;
}

const char *scratch_empty_folder(void)
{
    snprintf(empty_folder, sizeof empty_folder, "%s/empty", scratch_folder());
    FUZZ_CLAIM(mkdir(empty_folder, 0700) == 0 || errno == EEXIST, "%s: not made", empty_folder);
    DIR *dir = opendir(empty_folder);
    FUZZ_CLAIM(dir, "%s: not read", empty_folder);
    for (struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            FUZZ_CLAIM(unlinkat(dirfd(dir), entry->d_name, 0) == 0, "%s: not removed",
                       entry->d_name);
    closedir(dir);
    return empty_folder;
}

const char *scratch_write(const char *name, const void *bytes, size_t size)
{
    snprintf(path, sizeof path, "%s/%s", scratch_folder(), name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_CLAIM(fd >= 0 && write(fd, bytes, size) == (ssize_t)size, "%s: not written", path);
    close(fd);
    return path;
}

void scratch_stdout_begin(void)
{
    if (!output_path[0]) {
        snprintf(output_path, sizeof output_path, "%s/stdout", scratch_folder());
        int fd = open(output_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        FUZZ_CLAIM(fd >= 0 && dup2(fd, STDOUT_FILENO) >= 0, "%s: not opened", output_path);
        close(fd);
    }
    FUZZ_CLAIM(ftruncate(STDOUT_FILENO, 0) == 0 && lseek(STDOUT_FILENO, 0, SEEK_SET) == 0,
               "%s: not emptied", output_path);
}

uint8_t *scratch_stdout_end(size_t *size)
{
    off_t end = lseek(STDOUT_FILENO, 0, SEEK_CUR);
    uint8_t *bytes = malloc((size_t)end + 1);

    FUZZ_CLAIM(bytes && pread(STDOUT_FILENO, bytes, (size_t)end, 0) == end, "not read back");
    *size = (size_t)end;
    return bytes;
}

uint32_t fuzz_sum(const uint8_t *bytes, size_t size)
{
    return crc32c(0, bytes, size);
}
