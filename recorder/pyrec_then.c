#include "recorder/pyrec_then.h"

#include <errno.h>
#include <fcntl.h>
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

/* pyanalyze FIRST [WORD]... [--format FORMAT]... */
static char **report_command(const char *analyzer, const char *first,
                             const struct pyrec_options *options)
{
    char **argv = calloc(3 + options->report.count + 2 * options->then.count, sizeof *argv);
    size_t count = 0;

    if (argv == NULL)
        return NULL;
    argv[count++] = (char *)analyzer;
    argv[count++] = (char *)first;
    for (size_t i = 0; i < options->report.count; i++)
        argv[count++] = options->report.items[i];
    for (size_t i = 0; i < options->then.count; i++) {
        argv[count++] = (char *)"--format";
        argv[count++] = options->then.items[i];
    }
    return argv;
}

/* Starts the analyzer with its standard output going to `output`, its errors to `errors`. -1: no
 * process. */
static pid_t start_analyzer(char **argv, int output, int errors)
{
    pid_t child = fork();

    if (child != 0)
        return child;
    dup2(output, STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
    execv(argv[0], argv);
    _exit(PYREC_NOT_FOUND);
}

/* Waits for its end. What went wrong it has said itself. */
static int end_analyzer(const char *analyzer, pid_t child, struct pyrec_error *err)
{
    int status = 0;

    while (child > 0 && waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            child = -1;
    if (child < 0)
        return pyrec_error_set(err, PYREC_FAILED, "%s: %s", analyzer, strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == PYREC_NOT_FOUND)
        return pyrec_error_set(err, PYREC_FAILED, "%s: cannot be executed", analyzer);
    if (WIFSIGNALED(status))
        return pyrec_error_set(err, PYREC_FAILED, "the report was not made: signal %d ended %s",
                               WTERMSIG(status), analyzer);
    if (status != 0)
        return pyrec_error_set(err, PYREC_FAILED, "the report was not made");
    return 0;
}

static int run_analyzer(char **argv, int output, struct pyrec_error *err)
{
    return end_analyzer(argv[0], start_analyzer(argv, output, STDERR_FILENO), err);
}

/* What the analyzer says, as far as there is room: one line. */
static void read_answer(int fd, char *text, size_t room)
{
    size_t size = 0;
    ssize_t count;

    while ((count = read(fd, text + size, room - 1 - size)) > 0 || (count < 0 && errno == EINTR))
        size += count > 0 ? (size_t)count : 0;
    text[size] = '\0';
    text[strcspn(text, "\n")] = '\0';
}

/* What was wrong with the report's command line, in the words of pyrec's own. */
static int refuse(const char *analyzer, const char *answer, struct pyrec_error *err)
{
    static const char prefix[] = "pyanalyze: ", format[] = "--format: ";

    err->text[0] = '\0';
    if (strncmp(answer, prefix, strlen(prefix)) != 0)
        return pyrec_error_set(err, PYREC_FAILED, "%s: cannot be used: %s", analyzer, answer);
    answer += strlen(prefix);
    if (strncmp(answer, format, strlen(format)) == 0)
        return pyrec_error_set(err, PYREC_USAGE, "--then: %s", answer + strlen(format));
    return pyrec_error_set(err, PYREC_USAGE, "%s", answer);
}

/* It looks at its command line before it says its version. */
int pyrec_then_check(const char *analyzer, const struct pyrec_options *options,
                     struct pyrec_error *err)
{
    char **argv = report_command(analyzer, "--version", options), answer[1024];
    struct sigaction before;
    int ends[2], result;
    pid_t child;

    if (argv == NULL || pipe2(ends, O_CLOEXEC) < 0) {
        free(argv);
        return pyrec_error_set(err, PYREC_FAILED, "%s: %s", analyzer, strerror(errno));
    }
    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL}, &before);
    child = start_analyzer(argv, ends[1], ends[1]);
    close(ends[1]);
    read_answer(ends[0], answer, sizeof answer);
    close(ends[0]);
    result = end_analyzer(analyzer, child, err);
    sigaction(SIGCHLD, &before, NULL);
    free(argv);
    return result == 0 ? 0 : refuse(analyzer, answer, err);
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
