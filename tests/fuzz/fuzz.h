/* fuzz.h - what the fuzz targets share.
 *
 * A target is one file fuzz_NAME.c with LLVMFuzzerTestOneInput(): any bytes, and what must hold
 * whatever they are. Linked with libFuzzer it is fuzzed (`make fuzz`); linked with replay.c, by any
 * compiler, it reads the files of tests/corpus/NAME again (`make check`).
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The names libFuzzer calls and gives; always 0. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t size, size_t room);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t room, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *one, size_t one_size, const uint8_t *other,
                                 size_t other_size, uint8_t *out, size_t room, unsigned seed);

/* What must hold: if it does not, says so and aborts. */
#define FUZZ_CLAIM(holds, ...)                                                                     \
    do {                                                                                           \
        if (!(holds))                                                                              \
            fuzz_broken(__FILE__, __LINE__, __VA_ARGS__);                                          \
    } while (0)
void fuzz_broken(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));

/* Set when inputs are replayed: each goes through everything, not only through a part that its sum
 * chooses. */
extern bool fuzz_thorough;

/* A folder of this process in memory, removed at its end. */
const char *scratch_folder(void);

/* A folder in it, empty; good until the next call. */
const char *scratch_empty_folder(void);

/* Writes the bytes to the scratch file called `name`, whose path (good until the next call) is the
 * result. */
const char *scratch_write(const char *name, const void *bytes, size_t size);

/* Standard output leads to a scratch file from the first call on: empties it. */
void scratch_stdout_begin(void);

/* What was written there since; *size bytes, to be freed. */
uint8_t *scratch_stdout_end(size_t *size);

/* A sum of the bytes, from which a target chooses options: the same input, the same choice. */
uint32_t fuzz_sum(const uint8_t *bytes, size_t size);

#endif
