#include "recorder/clock.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

bool clock_is_tsc;

#if defined(PYREC_COUNTING_CLOCK)
uint64_t clock_count;
#endif

uint64_t clock_read_ns(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* The kernel drops the TSC from this list when it found it unstable or unsynchronised. */
static bool kernel_trusts_tsc(void)
{
    char list[256];
    ssize_t size;
    int fd = open("/sys/devices/system/clocksource/clocksource0/available_clocksource",
                  O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return true;
    size = read(fd, list, sizeof list - 1);
    close(fd);
    if (size <= 0)
        return true;
    list[size] = '\0';
    return strstr(list, "tsc") != NULL;
}

static bool processor_has_invariant_tsc(void)
{
#if defined(__x86_64__) && !defined(PYREC_COUNTING_CLOCK)
    unsigned eax, ebx, ecx, edx;

    if (__get_cpuid(0x80000007, &eax, &ebx, &ecx, &edx))
        return (edx & (1u << 8)) != 0;
#endif
    return false;
}

enum trace_clock clock_choose(void)
{
    if (processor_has_invariant_tsc() && kernel_trusts_tsc())
        return TRACE_CLOCK_TSC;
    return TRACE_CLOCK_MONOTONIC;
}

bool clock_use(enum trace_clock clock)
{
    if (clock == TRACE_CLOCK_TSC && !processor_has_invariant_tsc())
        return false;
    clock_is_tsc = clock == TRACE_CLOCK_TSC;
    return clock == TRACE_CLOCK_TSC || clock == TRACE_CLOCK_MONOTONIC;
}

uint64_t clock_measure_rate(void)
{
    uint64_t ns0, ns1, ticks0, ticks1;

    if (!clock_is_tsc)
        return 1000000000u;
    ns0 = clock_read_ns(CLOCK_MONOTONIC);
    ticks0 = clock_ticks();
    do {
        ns1 = clock_read_ns(CLOCK_MONOTONIC);
        ticks1 = clock_ticks();
    } while (ns1 - ns0 < 100000);
    return (ticks1 - ticks0) * 1000000000u / (ns1 - ns0);
}

unsigned clock_tick_shift(uint64_t rate)
{
    unsigned shift = 0;

    while (shift < TRACE_TICK_SHIFT_MAX && (2u << shift) * 1000000000ull <= 8 * rate)
        shift++;
    return shift;
}
