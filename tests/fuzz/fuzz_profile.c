/* fuzz_profile.c - a packed trace, repaired (packed.h): into a database, its events read, every
 * format written. */
#include <stdlib.h>

#include "tests/fuzz/checks.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/packed.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    size_t unpacked;
    uint8_t *trace = packed_unpack(bytes, size, &unpacked);

    check_trace(scratch_write("trace.bin", trace, unpacked), fuzz_sum(bytes, size));
    free(trace);
    return 0;
}
