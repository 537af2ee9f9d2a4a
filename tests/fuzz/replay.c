/* replay.c - runs a fuzz target on files and folders of files, without a fuzzer.
 *
 *     fuzz_NAME FILE|FOLDER...
 *
 * Says how many inputs there were; that it comes to its end is the test.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

/* Only the fuzzer mutates. */
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t size, size_t room)
{
    (void)bytes, (void)room;
    return size;
}

static void run_file(const char *path, unsigned *count)
{
    FILE *in = fopen(path, "rb");
    struct stat status;

    FUZZ_CLAIM(in && fstat(fileno(in), &status) == 0, "%s: cannot be read", path);
    size_t size = (size_t)status.st_size;
    uint8_t *bytes = malloc(size + 1);
    FUZZ_CLAIM(bytes && fread(bytes, 1, size, in) == size, "%s: cannot be read", path);
    fclose(in);
    fprintf(stderr, "%s\n", path); /* the last one named is the culprit */
    LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
    ++*count;
}

static void run_folder(const char *path, unsigned *count)
{
    struct dirent **entries;
    int found = scandir(path, &entries, NULL, alphasort);

    FUZZ_CLAIM(found >= 0, "%s: cannot be read", path);
    for (int i = 0; i < found; i++) {
        char name[4096];

        if (entries[i]->d_name[0] != '.') {
            snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
            run_file(name, count);
        }
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    unsigned count = 0;

    fuzz_thorough = true;
    for (int i = 1; i < argc; i++) {
        struct stat status;

        FUZZ_CLAIM(stat(argv[i], &status) == 0, "%s: not there", argv[i]);
        (S_ISDIR(status.st_mode) ? run_folder : run_file)(argv[i], &count);
    }
    fprintf(stderr, "%u inputs\n", count);
    return count == 0;
}
