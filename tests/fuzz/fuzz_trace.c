/* fuzz_trace.c - any bytes as a trace: into a database, its events read, every format written. */
#include "tests/fuzz/checks.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    check_trace(scratch_write("trace.bin", bytes, size), fuzz_sum(bytes, size));
    return 0;
}
