#include "recorder/pyrec_then.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the child gets back: the signals as pyrec found them. */
struct signals {
    sigset_t mask;
    struct sigaction child;
};

static void take_signals(struct signals *before)
{
    struct sigaction defaults = {.sa_handler = SIG_DFL};
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before->mask);
    sigaction(SIGCHLD, &defaults, &before->child); /* ignored, there would be nothing to wait for */
}

static void give_signals_back(const struct signals *before)
{
    sigaction(SIGCHLD, &before->child, NULL);
    sigprocmask(SIG_SETMASK, &before->mask, NULL);
}

/* What the terminal sends (^C, ^Z, a new size) goes to the program too: only what was sent to pyrec
 * is passed on. */
static void pass_on(const siginfo_t *info, pid_t child)
{
    if (info->si_code <= 0 && info->si_pid != child)
        kill(child, info->si_signo);
}

/* The shell sees a stopped job when pyrec stops with its program. */
static void stop_with(pid_t child)
{
    raise(SIGSTOP);
    kill(child, SIGCONT);
}

static int supervise(pid_t child)
{
    sigset_t all;
    siginfo_t info;
    int status;

    sigfillset(&all);
    for (;;) {
        if (sigwaitinfo(&all, &info) < 0)
            continue;
        if (info.si_signo != SIGCHLD) {
            pass_on(&info, child);
            continue;
        }
        while (waitpid(child, &status, WUNTRACED | WNOHANG) == child) {
            if (!WIFSTOPPED(status))
                return status;
            stop_with(child);
        }
    }
}

int pyrec_then_run(void (*become)(void *), void *context, pid_t *child)
{
    struct signals before;
    int status = -1;

    take_signals(&before);
    *child = fork();
    if (*child == 0) {
        give_signals_back(&before);
        become(context);
        _exit(PYREC_FAILED);
    }
    if (*child > 0)
        status = supervise(*child);
    give_signals_back(&before);
    return status;
}

/* pyanalyze TRACE [WORD]... [--format FORMAT]... */
static char **report_command(const char *analyzer, const char *trace,
                             const struct pyrec_options *options)
{
    char **argv = calloc(3 + options->report.count + 2 * options->then.count, sizeof *argv);
    size_t count = 0;

    if (argv == NULL)
        return NULL;
    argv[count++] = (char *)analyzer;
    argv[count++] = (char *)trace;
    for (size_t i = 0; i < options->report.count; i++)
        argv[count++] = options->report.items[i];
    for (size_t i = 0; i < options->then.count; i++) {
        argv[count++] = (char *)"--format";
        argv[count++] = options->then.items[i];
    }
    return argv;
}

/* Runs the analyzer with its standard output going to `output`. */
static int run_analyzer(char **argv, int output, struct pyrec_error *err)
{
    pid_t child;
    int status;

    child = fork();
    if (child == 0) {
        dup2(output, STDOUT_FILENO);
        execv(argv[0], argv);
        _exit(PYREC_NOT_FOUND);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            child = -1;
    if (child < 0)
        return pyrec_error_set(err, PYREC_FAILED, "%s: %s", argv[0], strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == PYREC_NOT_FOUND)
        return pyrec_error_set(err, PYREC_NOT_FOUND, "%s: cannot be executed", argv[0]);
    return 0; /* what else went wrong it has said itself */
}

int pyrec_then_report(const char *analyzer, const char *trace, const struct pyrec_options *options,
                      struct pyrec_error *err)
{
    char *events[] = {(char *)analyzer, (char *)trace,        (char *)"--format",
                      (char *)"trace",  (char *)"--no-pager", NULL};
    char **argv = report_command(analyzer, trace, options);
    int result = 0;

    if (argv == NULL)
        return pyrec_error_set(err, PYREC_FAILED, "out of memory");
    signal(SIGCHLD, SIG_DFL);
    if (options->print_events)
        result = run_analyzer(events, STDERR_FILENO, err);
    if (result == 0)
        result = run_analyzer(argv, STDOUT_FILENO, err);
    free(argv);
    return result;
}

/* A second core file would replace that of the program. */
void pyrec_then_end(int wait_status)
{
    struct rlimit no_core = {0, 0};
    sigset_t only;

    if (!WIFSIGNALED(wait_status))
        exit(WEXITSTATUS(wait_status));
    setrlimit(RLIMIT_CORE, &no_core);
    signal(WTERMSIG(wait_status), SIG_DFL);
    sigemptyset(&only);
    sigaddset(&only, WTERMSIG(wait_status));
    sigprocmask(SIG_UNBLOCK, &only, NULL);
    raise(WTERMSIG(wait_status));
    exit(128 + WTERMSIG(wait_status));
}
