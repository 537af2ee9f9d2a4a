/* sleeper.c - what a thread costs that only sleeps and wakes, and how often it wakes on time.
 *
 *     sleeper PERIOD_US SECONDS [clock|futex|timer] [plain|fifo|nice|slack|slice]
 *
 * It does what a sampler must do, and nothing else: in each period it sleeps until a random moment
 * of it, with the shortest timer slack. What it gets is the most that a sampler can get on this
 * machine. Prints rounds, rounds that came a period late or not at all, CPU ns a wake-up, and the
 * median and the 99th percentile of how late it woke, in ns.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

struct sleeper {
    uint64_t period, rounds, due, late, cpu;
    const char *call, *how;
    uint64_t *delays; /* of each round that came */
    size_t count;
    int timer;
};

static uint64_t read_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void sleep_until(const struct sleeper *sleeper, uint64_t deadline)
{
    struct timespec time = {(time_t)(deadline / 1000000000u), (long)(deadline % 1000000000u)};
    struct itimerspec once = {.it_value = time};
    static uint32_t never;
    uint64_t expirations;

    if (strcmp(sleeper->call, "futex") == 0) {
        syscall(SYS_futex, &never, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0, &time, NULL,
                FUTEX_BITSET_MATCH_ANY);
    } else if (strcmp(sleeper->call, "timer") == 0) {
        timerfd_settime(sleeper->timer, TFD_TIMER_ABSTIME, &once, NULL);
        if (read(sleeper->timer, &expirations, sizeof expirations) < 0)
            abort();
    } else {
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
    }
}

/* As the kernel has it; not every C library knows it. */
struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

/* What the kernel is asked for. From Linux 6.12 on an ordinary thread may say how long its turns
 * are: one with short turns gets them sooner. */
static void prefer(const char *how)
{
    const struct sched_param first = {.sched_priority = 50};
    struct attributes brief = {.size = sizeof brief, .runtime = 100000};

    if (strcmp(how, "slack") != 0)
        prctl(PR_SET_TIMERSLACK, 1);
    if (strcmp(how, "fifo") == 0 && sched_setscheduler(0, SCHED_FIFO, &first) < 0)
        perror("sleeper: SCHED_FIFO");
    if (strcmp(how, "slice") == 0 && syscall(SYS_sched_setattr, 0, &brief, 0) < 0)
        perror("sleeper: sched_setattr");
    if (strcmp(how, "nice") == 0 && setpriority(PRIO_PROCESS, 0, -20) < 0)
        perror("sleeper: nice");
}

static void *run(void *argument)
{
    struct sleeper *sleeper = argument;
    uint64_t period = sleeper->period, random = read_ns(CLOCK_MONOTONIC) | 1, base, before;

    prefer(sleeper->how);
    before = read_ns(CLOCK_THREAD_CPUTIME_ID);
    base = read_ns(CLOCK_MONOTONIC);
    while (sleeper->due < sleeper->rounds) {
        uint64_t deadline, now, lost;

        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        deadline = base + random % period;
        sleep_until(sleeper, deadline);
        now = read_ns(CLOCK_MONOTONIC);
        sleeper->delays[sleeper->count++] = now > deadline ? now - deadline : 0;
        sleeper->late += now >= deadline + period;
        sleeper->due++;
        base += period;
        lost = now > base + period ? (now - base) / period : 0;
        sleeper->due += lost;
        sleeper->late += lost;
        base += lost * period;
    }
    sleeper->cpu = read_ns(CLOCK_THREAD_CPUTIME_ID) - before;
    return NULL;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void print(struct sleeper *sleeper)
{
    qsort(sleeper->delays, sleeper->count, sizeof *sleeper->delays, compare);
    printf("%llu %llu %llu %llu %llu\n", (unsigned long long)sleeper->due,
           (unsigned long long)sleeper->late, (unsigned long long)(sleeper->cpu / sleeper->count),
           (unsigned long long)sleeper->delays[sleeper->count / 2],
           (unsigned long long)sleeper->delays[sleeper->count - 1 - sleeper->count / 100]);
}

int main(int argc, char **argv)
{
    struct sleeper sleeper = {.call = argc > 3 ? argv[3] : "clock",
                              .how = argc > 4 ? argv[4] : "plain"};
    pthread_t thread;

    if (argc < 3 || atol(argv[1]) <= 0 || atof(argv[2]) <= 0) {
        fprintf(
            stderr,
            "usage: sleeper PERIOD_US SECONDS [clock|futex|timer] [plain|fifo|nice|slack|slice]\n");
        return 2;
    }
    sleeper.period = (uint64_t)atol(argv[1]) * 1000;
    sleeper.rounds = (uint64_t)(atof(argv[2]) * 1e9) / sleeper.period + 1;
    sleeper.delays = calloc(sleeper.rounds + 1, sizeof *sleeper.delays);
    sleeper.timer = timerfd_create(CLOCK_MONOTONIC, 0);
    if (sleeper.delays == NULL || pthread_create(&thread, NULL, run, &sleeper) != 0)
        return 1;
    pthread_join(thread, NULL);
    print(&sleeper);
    free(sleeper.delays);
    return 0;
}
