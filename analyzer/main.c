/* main.c - the pyanalyze command: what argv asks for is done, the one error printed, the status
 * returned. */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/command.h"
#include "analyzer/options.h"
#include "formats/error.h"
#include "formats/trace/pattern.h"
#include "generated/profile_sql.h"

enum { EXIT_PROBLEM = 1, EXIT_USAGE = 2 };

/* Prints a text that is not a report: --help and its like. */
static int print(const char *text, struct error *err)
{
    if (text == NULL)
        return error_set(err, "out of memory");
    if (fputs(text, stdout) >= 0 && fflush(stdout) == 0)
        return 0;
    return errno == EPIPE ? 0
                          : error_set(err, "standard output: cannot write: %s", strerror(errno));
}

static int print_help(struct error *err)
{
    char *text = options_help();
    int status = print(text, err);

    free(text);
    return status;
}

static int act(const struct options *options, bool *warned, struct error *err)
{
    switch (options->action) {
    case OPTIONS_HELP:
        return print_help(err);
    case OPTIONS_VERSION:
        return print("pyanalyze " PYREC_VERSION "\n", err);
    case OPTIONS_SCHEMA:
        return print(profile_schema_sql, err) < 0 ? -1 : print(profile_indexes_sql, err);
    default:
        return command_run(options, warned, err);
    }
}

int main(int argc, char **argv)
{
    struct options options;
    struct error err = {.usage = 0};
    bool warned = false;
    int status;

    signal(SIGPIPE, SIG_IGN);            /* a reader that went away shows as EPIPE */
    setlocale(LC_CTYPE, PATTERN_LOCALE); /* names are UTF-8, whatever the terminal speaks */
    status = options_parse(&options, argc, argv, &err);
    if (status == 0)
        status = act(&options, &warned, &err);
    if (status < 0)
        fprintf(stderr, "pyanalyze: %s\n", err.text);
    if (status == 0 && options.strict && warned)
        status = EXIT_PROBLEM;
    options_fini(&options);
    if (status < 0)
        return err.usage ? EXIT_USAGE : EXIT_PROBLEM;
    return status;
}
