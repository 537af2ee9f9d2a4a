#include "formats/trace/sha256.h"

#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#define SHA256_HAS_INSTRUCTIONS 1
#endif

#define BLOCK 64

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes (FIPS
 * 180-4, 4.2.2). */
static const uint32_t round_keys[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static uint32_t get_big(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void put_big(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void make_schedule(uint32_t w[64], const uint8_t *block)
{
    for (int i = 0; i < 16; i++)
        w[i] = get_big(block + 4 * i);
    for (int i = 16; i < 64; i++) {
        uint32_t a = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t b = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + a + w[i - 7] + b;
    }
}

/* The working variables a to h of the standard are s[0] to s[7], turned by one place each round. */
static void absorb_plain(uint32_t state[8], const uint8_t *block)
{
    uint32_t w[64], s[8];

    make_schedule(w, block);
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t sum1 = rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25);
        uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
        uint32_t t1 = s[7] + sum1 + choice + round_keys[i] + w[i];
        uint32_t sum0 = rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22);
        uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += t1;
        s[0] = t1 + sum0 + majority;
    }
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

#ifdef SHA256_HAS_INSTRUCTIONS

/* SHA extensions (Intel SDM, SHA256RNDS2 and its kin): bit 29 of EBX of leaf 7. */
static bool find_instructions(void)
{
    unsigned eax, ebx, ecx, edx;

    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || (ecx & bit_SSE4_1) == 0)
        return false;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ebx & 1u << 29) != 0;
}

/* Asked once: in a virtual machine each CPUID is a call of the hypervisor, 4 us. */
static bool has_instructions(void)
{
    enum answer { UNKNOWN, YES, NO };
    static int known = UNKNOWN;
    int answer = __atomic_load_n(&known, __ATOMIC_RELAXED);

    if (answer == UNKNOWN) {
        answer = find_instructions() ? YES : NO;
        __atomic_store_n(&known, answer, __ATOMIC_RELAXED);
    }
    return answer == YES;
}

/* Words 4i to 4i+3 of the schedule from the sixteen before, of which w holds four times four in
 * turn. */
__attribute__((target("sha,sse4.1"))) static inline __m128i next_words(const __m128i w[4], int i)
{
    __m128i sum = _mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]);

    sum = _mm_add_epi32(sum, _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4));
    return _mm_sha256msg2_epu32(sum, w[(i + 3) & 3]);
}

/* Sixteen times four rounds over one block. */
__attribute__((target("sha,sse4.1"))) static inline void do_rounds(__m128i *abef, __m128i *cdgh,
                                                                   const uint8_t *block)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i w[4];

    for (int i = 0; i < 16; i++) {
        __m128i sum;

        if (i < 4)
            w[i] = _mm_shuffle_epi8(
                _mm_loadu_si128((const __m128i *)(const void *)(block + 16 * i)), big_endian);
        else
            w[i & 3] = next_words(w, i);
        sum = _mm_add_epi32(w[i & 3],
                            _mm_loadu_si128((const __m128i *)(const void *)&round_keys[4 * i]));
        *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, sum);
        *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32(sum, 0x0E));
    }
}

/* The instructions want the state as (a, b, e, f) and (c, d, g, h), highest first, and do two
 * rounds at a time. */
__attribute__((target("sha,sse4.1"))) static void absorb_fast(uint32_t state[8],
                                                              const uint8_t *blocks, size_t count)
{
    __m128i dcba = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(void *)state), 0xB1);
    __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(void *)(state + 4)), 0x1B);
    __m128i abef = _mm_alignr_epi8(dcba, hgfe, 8);
    __m128i cdgh = _mm_blend_epi16(hgfe, dcba, 0xF0);

    for (; count > 0; count--, blocks += BLOCK) {
        const __m128i abef_before = abef, cdgh_before = cdgh;

        do_rounds(&abef, &cdgh, blocks);
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    abef = _mm_shuffle_epi32(abef, 0x1B);
    cdgh = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(abef, cdgh, 0xF0));
    _mm_storeu_si128((__m128i *)(void *)(state + 4), _mm_alignr_epi8(cdgh, abef, 8));
}

#endif

static void absorb(uint32_t state[8], const uint8_t *blocks, size_t count)
{
#ifdef SHA256_HAS_INSTRUCTIONS
    if (has_instructions()) {
        absorb_fast(state, blocks, count);
        return;
    }
#endif
    for (size_t i = 0; i < count; i++)
        absorb_plain(state, blocks + i * BLOCK);
}

/* The last one or two blocks: what is left, a 1 bit, zeros, the length in bits. */
static void absorb_tail(uint32_t state[8], const uint8_t *rest, size_t left, uint64_t size)
{
    uint8_t tail[2 * BLOCK] = {0};
    size_t total = left + 9 <= BLOCK ? BLOCK : 2 * BLOCK;

    if (left)
        memcpy(tail, rest, left);
    tail[left] = 0x80;
    put_big(tail + total - 8, (uint32_t)(size >> 29));
    put_big(tail + total - 4, (uint32_t)(size << 3));
    absorb(state, tail, total / BLOCK);
}

void sha256(const void *bytes, size_t size, uint8_t digest[SHA256_SIZE])
{
    uint32_t state[8] = {
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
    };
    size_t whole = size / BLOCK;

    absorb(state, bytes, whole);
    absorb_tail(state, (const uint8_t *)bytes + whole * BLOCK, size % BLOCK, size);
    for (int i = 0; i < 8; i++)
        put_big(digest + 4 * i, state[i]);
}
