#include "formats/trace/crc32c.h"

#include <string.h>

#define CRC32C_POLYNOMIAL 0x82f63b78u

/* Four bits at a time: two small tables' worth of work, for processors without the instruction. */
static const uint32_t nibbles[16] = {
#define STEP(c) ((c) >> 1 ^ (CRC32C_POLYNOMIAL & (0u - ((c)&1u))))
#define NIBBLE(c) STEP(STEP(STEP(STEP((uint32_t)(c)))))
    NIBBLE(0), NIBBLE(1), NIBBLE(2),  NIBBLE(3),  NIBBLE(4),  NIBBLE(5),  NIBBLE(6),  NIBBLE(7),
    NIBBLE(8), NIBBLE(9), NIBBLE(10), NIBBLE(11), NIBBLE(12), NIBBLE(13), NIBBLE(14), NIBBLE(15),
#undef NIBBLE
#undef STEP
};

static uint32_t crc_portable(uint32_t crc, const uint8_t *at, size_t size)
{
    while (size--) {
        crc ^= *at++;
        crc = crc >> 4 ^ nibbles[crc & 15];
        crc = crc >> 4 ^ nibbles[crc & 15];
    }
    return crc;
}

#if defined(__x86_64__)

#include <nmmintrin.h>

#define STREAM                                                                                     \
    1024 /* bytes a stream: three of them hide the instruction's latency of three cycles */

__attribute__((target("sse4.2"))) static uint32_t crc_serial(uint32_t crc, const uint8_t *at,
                                                             size_t size)
{
    uint64_t word, wide = crc;

    for (; size >= 8; size -= 8, at += 8) {
        memcpy(&word, at, 8);
        wide = _mm_crc32_u64(wide, word);
    }
    crc = (uint32_t)wide;
    while (size--)
        crc = _mm_crc32_u8(crc, *at++);
    return crc;
}

/* The CRC `crc` continued over STREAM zero bytes: multiplication by a constant, bit by bit over a
 * table of powers. */
static uint32_t crc_shift(const uint32_t powers[32], uint32_t crc)
{
    uint32_t sum = 0;

    for (unsigned bit = 0; crc; bit++, crc >>= 1)
        sum ^= powers[bit] & (0u - (crc & 1u));
    return sum;
}

__attribute__((target("sse4.2"))) static void make_powers(uint32_t powers[32])
{
    static const uint8_t zeros[STREAM];

    for (unsigned bit = 0; bit < 32; bit++)
        powers[bit] = crc_serial(1u << bit, zeros, STREAM);
}

__attribute__((target("sse4.2"))) static uint32_t crc_three(const uint32_t powers[32], uint32_t crc,
                                                            const uint8_t *at)
{
    uint64_t a = crc, b = 0, c = 0, word;

    for (size_t i = 0; i < STREAM; i += 8) {
        memcpy(&word, at + i, 8);
        a = _mm_crc32_u64(a, word);
        memcpy(&word, at + STREAM + i, 8);
        b = _mm_crc32_u64(b, word);
        memcpy(&word, at + 2 * STREAM + i, 8);
        c = _mm_crc32_u64(c, word);
    }
    crc = crc_shift(powers, (uint32_t)a) ^ (uint32_t)b;
    return crc_shift(powers, crc) ^ (uint32_t)c;
}

__attribute__((target("sse4.2"))) static uint32_t crc_fast(uint32_t crc, const uint8_t *at,
                                                           size_t size)
{
    uint32_t powers[32];

    if (size >= 32 * STREAM) { /* below, the table costs more than it saves */
        make_powers(powers);
        for (; size >= 3 * STREAM; size -= 3 * STREAM, at += 3 * STREAM)
            crc = crc_three(powers, crc, at);
    }
    return crc_serial(crc, at, size);
}

static uint32_t crc_any(uint32_t crc, const uint8_t *at, size_t size)
{
    return __builtin_cpu_supports("sse4.2") ? crc_fast(crc, at, size) : crc_portable(crc, at, size);
}

#else

static uint32_t crc_any(uint32_t crc, const uint8_t *at, size_t size)
{
    return crc_portable(crc, at, size);
}

#endif

uint32_t crc32c(uint32_t crc, const void *bytes, size_t size)
{
    return ~crc_any(~crc, bytes, size);
}
