/* pyrec.c - the pyrec command: prepares a run and becomes the interpreter with the recorder inside.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "recorder/preload_env.h"
#include "recorder/pyrec_frontend.h"
#include "recorder/pyrec_options.h"
#include "recorder/pyrec_python.h"
#include "recorder/pyrec_then.h"
#include "recorder/pyrec_trace.h"

/* Where pyrec's own parts are. */
struct installation {
    char folder[PATH_MAX]; /* of pyrec itself */
    char preload[PATH_MAX];
    char analyzer[PATH_MAX];
};

struct run {
    struct installation installation;
    struct pyrec_options options;
    struct pyrec_python python;
    struct pyrec_trace trace;
    bool is_recorded;
    struct pyrec_error *err;
};

/* ---- our own parts ---- */

static bool find_preload(struct installation *installation, const char *middle)
{
    char path[2 * PATH_MAX];

    snprintf(path, sizeof path, "%s/%slib/pyrec/preload.so", installation->folder, middle);
    return realpath(path, installation->preload) != NULL;
}

static int find_installation(struct installation *installation, struct pyrec_error *err)
{
    ssize_t size =
        readlink("/proc/self/exe", installation->folder, sizeof installation->folder - 1);

    if (size <= 0)
        return pyrec_error_set(err, PYREC_FAILED, "/proc/self/exe: %s", strerror(errno));
    installation->folder[size] = '\0';
    *strrchr(installation->folder, '/') = '\0';
    if (snprintf(installation->analyzer, PATH_MAX, "%s/pyanalyze", installation->folder) >=
        PATH_MAX)
        return pyrec_error_set(err, PYREC_FAILED, "%s: the name is too long", installation->folder);
    return 0;
}

/* The loader takes blanks and colons in LD_PRELOAD as separators and knows no way around. */
static int find_recorder(struct installation *installation, struct pyrec_error *err)
{
    if (!find_preload(installation, "") &&
        (errno != ENOENT || !find_preload(installation, "../")))
        return pyrec_error_set(err, PYREC_FAILED, "%s/lib/pyrec/preload.so: %s",
                               installation->folder, strerror(errno));
    if (strpbrk(installation->preload, " :\t\n") != NULL)
        return pyrec_error_set(err, PYREC_FAILED, "%s: the path may have no blank or colon in it",
                               installation->preload);
    return 0;
}

static int become_analyzer(const struct installation *installation, char **arguments,
                           struct pyrec_error *err)
{
    arguments[-1] = (char *)"pyanalyze"; /* the place of `analyze` */
    execv(installation->analyzer, arguments - 1);
    return pyrec_error_set(err, errno == ENOENT ? PYREC_NOT_FOUND : PYREC_NOT_EXECUTABLE, "%s: %s",
                           installation->analyzer, strerror(errno));
}

/* ---- becoming the interpreter ---- */

static char **interpreter_command(struct run *run)
{
    size_t count = 0;
    char **argv;
    char **at;

    while (run->options.arguments[count] != NULL)
        count++;
    argv = at = calloc(run->options.interpreter.count + count + 2, sizeof *argv);
    if (argv == NULL)
        return NULL;
    *at++ = run->python.name;
    for (size_t i = 0; i < run->options.interpreter.count; i++)
        *at++ = run->options.interpreter.items[i];
    memcpy(at, run->options.arguments, count * sizeof *at);
    return argv;
}

/* The shell has set `_` to the path of what it started; it would have been the interpreter's. */
static void correct_underscore(const struct pyrec_python *python)
{
    const char *value = getenv("_");
    struct stat named, own;

    if (value != NULL && stat(value, &named) == 0 && stat("/proc/self/exe", &own) == 0 &&
        named.st_dev == own.st_dev && named.st_ino == own.st_ino)
        setenv("_", python->path, 1);
}

static char **run_environment(const struct run *run)
{
    struct preload_run carried = {
        .parent = 0,
        .how = INSIDE_FIRST,
        .children = !run->options.no_children,
        .displaced = run->trace.displaced,
        .lock = run->trace.lock,
    };
    void *room;

    memcpy(carried.mark, run->trace.mark, sizeof carried.mark);
    memcpy(carried.path, run->trace.path, sizeof carried.path);
    room = malloc(preload_env_room(environ, run->installation.preload, &carried));
    return room == NULL ? NULL
                        : preload_env_build(room, environ, run->installation.preload, &carried);
}

static int become_interpreter(struct run *run)
{
    char **argv = interpreter_command(run);
    char **envp = environ;
    int reason = ENOMEM;

    correct_underscore(&run->python);
    if (run->is_recorded)
        envp = run_environment(run);
    if (argv != NULL && envp != NULL) {
        execve(run->python.path, argv, envp);
        reason = errno;
    }
    free(argv);
    if (envp != environ)
        free(envp);
    return pyrec_error_set(run->err, reason == ENOENT ? PYREC_NOT_FOUND : PYREC_NOT_EXECUTABLE,
                           "%s: %s", run->python.path, strerror(reason));
}

static int report_error(const struct pyrec_error *err)
{
    fprintf(stderr, "pyrec: %s\n", err->text);
    if (err->status == PYREC_USAGE)
        fprintf(stderr, "pyrec: --help shows how it is used\n");
    return err->status;
}

/* In the child of --then. */
static void become_or_end(void *context)
{
    struct run *run = context;

    become_interpreter(run);
    pyrec_trace_remove(&run->trace);
    _exit(report_error(run->err));
}

/* Where the interpreter was not started, or not recorded, whoever found that out has said so and
 * taken the trace away. */
static int make_report(struct run *run, int status)
{
    bool has_failed = WIFEXITED(status) && WEXITSTATUS(status) >= PYREC_FAILED &&
                      WEXITSTATUS(status) <= PYREC_NOT_FOUND;

    if (pyrec_trace_is_there(&run->trace))
        return pyrec_then_report(run->installation.analyzer, run->trace.path, &run->options,
                                 run->err);
    return has_failed
               ? 0
               : pyrec_error_set(run->err, PYREC_FAILED,
                                 "%s: the report was not made: the trace is gone", run->trace.path);
}

/* The program's end is pyrec's, but a report that failed is no success. */
static int run_and_report(struct run *run)
{
    pid_t child;
    int status = pyrec_then_run(become_or_end, run, &child);

    if (status < 0)
        return pyrec_error_set(run->err, PYREC_FAILED, "no process for the program: %s",
                               strerror(errno));
    if (WIFSIGNALED(status))
        pyrec_trace_note_end(&run->trace, child, status);
    pyrec_trace_release(&run->trace);
    if (make_report(run, status) < 0 && report_error(run->err) != 0 && status == 0)
        status = W_EXITCODE(PYREC_FAILED, 0);
    pyrec_frontend_remove_folder(&run->options);
    pyrec_then_end(status);
}

/* ---- the package ---- */

/* Its folder stands in sys.path only while it is imported: the program finds its own modules. Where
 * there is none beside pyrec, the interpreter has it. */
static const char kernprof_code[] = "import sys; path = sys.argv.pop(1)\n"
                                    "sys.path.insert(0, path)\n"
                                    "from pyrec.compat import kernprof\n"
                                    "sys.path.remove(path)\n"
                                    "sys.exit(kernprof.main())";

static int become_kernprof(struct run *run)
{
    static const char *const places[] = {"python", "../lib/pyrec/python"};
    struct pyrec_list *words = &run->options.interpreter;
    char path[2 * PATH_MAX], found[PATH_MAX] = "";

    for (size_t i = 0; i < sizeof places / sizeof *places && found[0] == '\0'; i++) {
        snprintf(path, sizeof path, "%s/%s/pyrec/..", run->installation.folder, places[i]);
        if (access(path, F_OK) == 0) {
            snprintf(path, sizeof path, "%s/%s", run->installation.folder, places[i]);
            found[0] = realpath(path, found) != NULL ? found[0] : '\0';
        }
    }
    if (pyrec_python_find(NULL, run->installation.folder, &run->python, run->err) < 0 ||
        pyrec_list_add(words, "-c", "", run->err) < 0 ||
        pyrec_list_add(words, kernprof_code, "", run->err) < 0 ||
        pyrec_list_add(words, found, "", run->err) < 0)
        return -1;
    return become_interpreter(run);
}

/* ---- a run ---- */

/* A mistyped name is the interpreter's to report; no trace goes for it. */
static bool is_missing(const struct pyrec_options *options)
{
    return options->form == PYREC_SCRIPT && strcmp(options->operand, "-") != 0 &&
           access(options->operand, F_OK) < 0 && errno == ENOENT;
}

static bool reports(const struct pyrec_options *options)
{
    return options->then.count > 0 || options->report.count > 0;
}

static int prepare_frontend(struct run *run)
{
    if (!run->options.is_temporary)
        return 0;
    if (pyrec_frontend_settle(&run->options, run->python.path, run->err) < 0)
        return -1;
    return pyrec_frontend_make_folder(&run->options, run->err);
}

static int check_report(struct run *run)
{
    if (!reports(&run->options))
        return 0;
    if (access(run->installation.analyzer, X_OK) < 0)
        return pyrec_error_set(run->err, PYREC_FAILED, "a report needs %s: %s",
                               run->installation.analyzer, strerror(errno));
    return pyrec_then_check(run->installation.analyzer, &run->options, run->err);
}

static int start_run(struct run *run)
{
    int result;

    if (pyrec_python_find(run->options.python, run->installation.folder, &run->python, run->err) <
        0)
        return -1;
    if (is_missing(&run->options))
        return become_interpreter(run);
    if (check_report(run) < 0 || find_recorder(&run->installation, run->err) < 0 ||
        prepare_frontend(run) < 0 ||
        pyrec_trace_create(&run->options, run->python.path, &run->trace, run->err) < 0)
        return -1;
    run->is_recorded = true;
    result = reports(&run->options) ? run_and_report(run) : become_interpreter(run);
    pyrec_trace_remove(&run->trace);
    return result;
}

static int act(struct run *run)
{
    switch (run->options.action) {
    case PYREC_RUN:
        return start_run(run);
    case PYREC_ANALYZE:
        return become_analyzer(&run->installation, run->options.arguments, run->err);
    case PYREC_KERNPROF:
        return become_kernprof(run);
    case PYREC_HELP:
        fputs(run->options.help != NULL ? run->options.help : pyrec_options_help(), stdout);
        break;
    case PYREC_VERSION_LINE:
        puts("pyrec " PYREC_VERSION);
        break;
    }
    if (fflush(stdout) != 0)
        return pyrec_error_set(run->err, PYREC_FAILED, "standard output: %s", strerror(errno));
    return 0;
}

int main(int argc, char **argv)
{
    static struct pyrec_error error;
    static struct run run = {.err = &error};
    int result;

    (void)argc;
    result = find_installation(&run.installation, run.err);
    if (result == 0)
        result = pyrec_options_parse(argv, &run.options, run.err);
    if (result == 0)
        result = act(&run);
    pyrec_frontend_remove_folder(&run.options);
    pyrec_options_free(&run.options);
    return result == 0 ? 0 : report_error(&error);
}
