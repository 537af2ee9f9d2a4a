#include "recorder/pyrec_frontend.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "formats/trace/pattern.h"

static const char pprofile_help[] =
    "Usage: pyrec pprofile [OPTION]... SCRIPT [ARGUMENT]...\n"
    "       pyrec pprofile [OPTION]... -m MODULE [--] [ARGUMENT]...\n"
    "Record a program and report as pprofile does, with pprofile's options.\n"
    "  -o, --out FILE        write the report there (-: standard output)\n"
    "  -f, --format FORMAT   text, callgrind or callgrindzip; else by FILE's name:\n"
    "                        *.zip, cachegrind.out.*, else text\n"
    "  -z, --zipfile FILE    the sources in a zip\n"
    "  -t, --threads N       0: the main thread only (1)\n"
    "  -s, --statistic SEC   sample every SEC seconds instead (0: record everything)\n"
    "  -m MODULE             run a module; what follows are its arguments\n"
    "  -v, --verbose         print each event to standard error, before the report\n"
    "  --exclude-syspath     do not report files below the interpreter's sys.path\n"
    "  --exclude REGEX       do not report files whose name has a match; repeatable\n"
    "  --include REGEX       report those again; alone: only those; repeatable\n"
    "  -h, --help\n"
    "Exit status: the program's; 2 usage, 125 pyrec failed, 126, 127 no interpreter.\n";

static const char cprofile_help[] =
    "Usage: pyrec cprofile [-o FILE] [-s KEY] SCRIPT|-m MODULE [ARGUMENT]...\n"
    "Record a program and report as cProfile does, with cProfile's options.\n"
    "  -o, --outfile FILE    a file for pstats instead of the table\n"
    "  -s, --sort KEY        order of the table, as pstats has it (cumulative)\n"
    "  -m MODULE             run a module; what follows are its arguments\n"
    "  -h, --help\n"
    "Exit status: the program's; 2 usage, 125 pyrec failed, 126, 127 no interpreter.\n";

enum { ONLY_LONG = 256, EXCLUDE_SYSPATH, EXCLUDE, INCLUDE };

static const struct option pprofile_options[] = {
    {"out", required_argument, NULL, 'o'},
    {"format", required_argument, NULL, 'f'},
    {"zipfile", required_argument, NULL, 'z'},
    {"threads", required_argument, NULL, 't'},
    {"statistic", required_argument, NULL, 's'},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {"exclude-syspath", no_argument, NULL, EXCLUDE_SYSPATH},
    {"exclude", required_argument, NULL, EXCLUDE},
    {"include", required_argument, NULL, INCLUDE},
    {0},
};
static const struct option cprofile_options[] = {
    {"outfile", required_argument, NULL, 'o'},
    {"sort", required_argument, NULL, 's'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct line;
typedef int take_function(struct line *line, int letter, const char *value);
typedef int finish_function(struct line *line);
static take_function take_pprofile, take_cprofile;
static finish_function finish_pprofile, finish_cprofile;

struct frontend {
    const char *name;
    const char *help;
    const char *letters; /* + first: what follows the program is the program's */
    const struct option *options;
    take_function *take;
    finish_function *finish;
};

static const struct frontend frontends[] = {
    {"pprofile", pprofile_help, "+:o:f:z:t:s:m:vh", pprofile_options, take_pprofile,
     finish_pprofile},
    {"cprofile", cprofile_help, "+:o:s:m:h", cprofile_options, take_cprofile, finish_cprofile},
};

/* A command line that is being read. */
struct line {
    const struct frontend *frontend;
    struct pyrec_options *options;
    const char *out, *format, *zip, *sort, *module;
    struct pyrec_list excludes, includes; /* patterns as pyanalyze has them */
    struct pyrec_error *err;
};

static const struct frontend *find_frontend(const char *word)
{
    for (size_t i = 0; i < sizeof frontends / sizeof *frontends; i++)
        if (strcmp(frontends[i].name, word) == 0)
            return &frontends[i];
    return NULL;
}

bool pyrec_frontend_is(const char *word)
{
    return find_frontend(word) != NULL;
}

static int report_with(struct line *line, const char *option, const char *value)
{
    return pyrec_list_add(&line->options->report, option, value, line->err);
}

/* ---- regular expressions ---- */

/* What Python writes otherwise than POSIX, where both can say it. */
static const struct {
    const char *python, *posix;
} same[] = {{"\\d", "[0-9]"}, {"\\D", "[^0-9]"}, {"(?:", "("}, {"\\A", "^"}, {"\\Z", "$"}};

static void translate(const char *python, char *posix)
{
    while (*python != '\0') {
        size_t i = 0, size = python[0] == '\\' && python[1] != '\0' ? 2 : 1;

        while (i < sizeof same / sizeof *same &&
               strncmp(python, same[i].python, strlen(same[i].python)) != 0)
            i++;
        if (i < sizeof same / sizeof *same) {
            posix = stpcpy(posix, same[i].posix);
            python += strlen(same[i].python);
        } else {
            memcpy(posix, python, size);
            posix += size;
            python += size;
        }
    }
    *posix = '\0';
}

static int add_regex(struct line *line, struct pyrec_list *list, const char *head,
                     const char *regex, const char *option)
{
    struct pattern_list *check = pattern_list_new();
    char *pattern = malloc(3 * strlen(regex) + 4), why[256] = "";
    int result = -1;

    if (check == NULL || pattern == NULL) {
        pyrec_error_set(line->err, PYREC_FAILED, "out of memory");
    } else {
        memcpy(pattern, "re:", 3);
        translate(regex, pattern + 3);
        if (strstr(pattern, "(?") != NULL || pattern_list_add(check, true, pattern, why, 256) < 0)
            pyrec_error_set(line->err, PYREC_USAGE,
                            "--%s %s: not a regular expression that POSIX knows%s%s", option, regex,
                            why[0] != '\0' ? ": " : "", why);
        else
            result = pyrec_list_add(list, head, pattern, line->err);
    }
    free(pattern);
    pattern_list_free(check);
    return result;
}

/* ---- pprofile ---- */

static int set_threads(struct line *line, const char *value)
{
    char *end;
    long number = strtol(value, &end, 10);

    if (end == value || *end != '\0')
        return pyrec_error_set(line->err, PYREC_USAGE, "--threads: not a number: %s", value);
    line->options->no_threads = number == 0;
    return 0;
}

static int set_statistic(struct line *line, const char *value)
{
    char *end;
    double period = strtod(value, &end);

    if (end == value || *end != '\0' || !(period >= 0))
        return pyrec_error_set(line->err, PYREC_USAGE, "--statistic: not a number: %s", value);
    if (period > 0 && !pyrec_options_read_period(value, &line->options->sample_ns))
        return pyrec_error_set(line->err, PYREC_USAGE, "--statistic: not a possible period: %s",
                               value);
    return 0;
}

static int take_pprofile(struct line *line, int letter, const char *value)
{
    switch (letter) {
    case 'o':
        line->out = value;
        return 0;
    case 'f':
        line->format = value;
        return 0;
    case 'z':
        line->zip = value;
        return 0;
    case 't':
        return set_threads(line, value);
    case 's':
        return set_statistic(line, value);
    case 'v':
        line->options->print_events = true;
        return 0;
    case EXCLUDE_SYSPATH:
        line->options->hide_syspath = true;
        return 0;
    case EXCLUDE:
        return add_regex(line, &line->excludes, "!", value, "exclude");
    default:
        return add_regex(line, &line->includes, "", value, "include");
    }
}

static bool ends_with(const char *name, const char *end)
{
    size_t size = strlen(name), tail = strlen(end);

    return size >= tail && strcmp(name + size - tail, end) == 0;
}

/* The report's format by what was asked for, else by the output's name. NULL: there is none such.
 */
static const char *choose_format(const struct line *line)
{
    static const char *const names[][2] = {
        {"text", "pprofile"}, {"callgrind", "callgrind"}, {"callgrindzip", "callgrindzip"}};
    const char *slash = strrchr(line->out, '/'), *base = slash != NULL ? slash + 1 : line->out;
    const char *wanted = line->format != NULL                        ? line->format
                         : ends_with(base, ".zip")                   ? "callgrindzip"
                         : strncmp(base, "cachegrind.out.", 15) == 0 ? "callgrind"
                                                                     : "text";

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i][0], wanted) == 0)
            return names[i][1];
    return NULL;
}

/* Behind each other: what is excluded, and what of that is included again. */
static int report_files(struct line *line)
{
    const struct pyrec_list *lists[] = {&line->excludes, &line->includes};

    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < lists[i]->count; k++)
            if (report_with(line, "--file", "") < 0 ||
                report_with(line, lists[i]->items[k], "") < 0)
                return -1;
    return 0;
}

static int finish_pprofile(struct line *line)
{
    const char *format;
    bool is_file;

    line->out = line->out == NULL ? "-" : line->out;
    is_file = strcmp(line->out, "-") != 0;
    format = choose_format(line);
    if (format == NULL)
        return pyrec_error_set(line->err, PYREC_USAGE,
                               "--format: not text, callgrind or callgrindzip: %s", line->format);
    if (!is_file && strcmp(format, "callgrindzip") == 0)
        return pyrec_error_set(line->err, PYREC_USAGE, "a zip needs a file: --out FILE");
    if (report_with(line, "--format=", format) < 0 ||
        (is_file && report_with(line, "--output=", line->out) < 0) ||
        (line->zip != NULL && report_with(line, "--zipfile=", line->zip) < 0))
        return -1;
    return report_files(line);
}

/* ---- cProfile ---- */

static int take_cprofile(struct line *line, int letter, const char *value)
{
    if (letter == 'o')
        line->out = value;
    else
        line->sort = value;
    return 0;
}

/* cProfile sees one thread of one process, and C functions. */
static int finish_cprofile(struct line *line)
{
    line->options->c_calls = true;
    line->options->no_threads = true;
    if (line->out != NULL)
        return report_with(line, "--format=pstats=", line->out);
    if (report_with(line, "--format=stats", "") < 0)
        return -1;
    return report_with(line, "--sort=", line->sort != NULL ? line->sort : "cumulative");
}

/* ---- all of them ---- */

static int bad_option(const struct line *line, int result, char **argv)
{
    const char *word = argv[optind - 1];

    if (result == ':')
        return pyrec_error_set(line->err, PYREC_USAGE, "%s needs a value", word);
    return pyrec_error_set(line->err, PYREC_USAGE,
                           "%s has no option %s; for one of the program put -- before it",
                           line->frontend->name, word);
}

static int read_options(struct line *line, int argc, char **argv)
{
    int letter;

    opterr = 0;
    optind = 0;
    while ((letter = getopt_long(argc, argv, line->frontend->letters, line->frontend->options,
                                 NULL)) != -1) {
        if (letter == '?' || letter == ':')
            return bad_option(line, letter, argv);
        if (letter == 'h') {
            line->options->action = PYREC_HELP;
            line->options->help = line->frontend->help;
            return 0;
        }
        if (letter == 'm') {
            line->module = optarg;
            if (line->frontend->take == take_cprofile)
                break; /* what follows is the module's */
        } else if (line->frontend->take(line, letter, optarg) < 0) {
            return -1;
        }
    }
    return 0;
}

static int read_program(struct line *line, char **rest)
{
    struct pyrec_options *options = line->options;
    struct pyrec_list *words = &options->interpreter;

    if (line->module == NULL && *rest == NULL)
        return pyrec_error_set(line->err, PYREC_USAGE, "too few arguments: SCRIPT or -m MODULE");
    options->form = line->module != NULL ? PYREC_MODULE : PYREC_SCRIPT;
    options->operand = line->module != NULL ? line->module : *rest++;
    options->arguments = rest;
    if (line->module != NULL && pyrec_list_add(words, "-m", "", line->err) < 0)
        return -1;
    if (line->module == NULL && options->operand[0] == '-' &&
        pyrec_list_add(words, "--", "", line->err) < 0)
        return -1;
    return pyrec_list_add(words, options->operand, "", line->err);
}

int pyrec_frontend_parse(char **argv, struct pyrec_options *options, struct pyrec_error *err)
{
    struct line line = {.frontend = find_frontend(argv[0]), .options = options, .err = err};
    int argc = 0, result;

    if (line.frontend == NULL)
        return pyrec_error_set(err, PYREC_USAGE, "there is no front end %s", argv[0]);
    while (argv[argc] != NULL)
        argc++;
    options->quiet = options->no_children = options->is_temporary = true;
    result = read_options(&line, argc, argv);
    if (result == 0 && options->action == PYREC_RUN) {
        result = read_program(&line, argv + optind);
        if (result == 0)
            result = line.frontend->finish(&line);
        if (result == 0)
            result = report_with(&line, "--force", "");
    }
    pyrec_list_free(&line.excludes);
    pyrec_list_free(&line.includes);
    return result;
}

/* ---- sys.path ---- */

/* The interpreter's sys.path without what comes first for the program's sake, each ended by NUL. */
static FILE *ask_for_path(const char *python, pid_t *child)
{
    static const char code[] = "import sys; sys.stdout.buffer.write("
                               "b''.join(p.encode(errors='surrogateescape') + b'\\0' "
                               "for p in sys.path[1:] if p))";
    int ends[2];

    if (pipe(ends) < 0)
        return NULL;
    *child = fork();
    if (*child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl(python, python, "-c", code, (char *)NULL);
        _exit(PYREC_NOT_FOUND);
    }
    close(ends[1]);
    if (*child > 0)
        return fdopen(ends[0], "r");
    close(ends[0]);
    return NULL;
}

/* What glob would take for more than itself stands behind a backslash; any file below is meant. */
static int hide_below(struct pyrec_options *options, size_t at, const char *folder,
                      struct pyrec_error *err)
{
    char *pattern = malloc(2 * strlen(folder) + 3), *to = pattern;
    int result;

    if (pattern == NULL)
        return pyrec_error_set(err, PYREC_FAILED, "out of memory");
    *to++ = '!';
    for (; *folder != '\0'; folder++) {
        if (strchr("*?[]\\", *folder) != NULL)
            *to++ = '\\';
        *to++ = *folder;
    }
    *to++ = '*';
    *to = '\0';
    result = pyrec_list_insert(&options->report, at, "--file", err);
    if (result == 0)
        result = pyrec_list_insert(&options->report, at + 1, pattern, err);
    free(pattern);
    return result;
}

int pyrec_frontend_settle(struct pyrec_options *options, const char *python,
                          struct pyrec_error *err)
{
    char *folder = NULL;
    size_t room = 0;
    pid_t child;
    FILE *in;
    int result = 0;

    if (!options->hide_syspath)
        return 0;
    in = ask_for_path(python, &child);
    if (in == NULL)
        return pyrec_error_set(err, PYREC_FAILED, "--exclude-syspath: %s: %s", python,
                               strerror(errno));
    /* First of all: what is included comes behind. Frozen modules are the standard library's. */
    result = hide_below(options, 0, "<frozen ", err);
    while (result == 0 && getdelim(&folder, &room, '\0', in) > 0)
        result = hide_below(options, 0, folder, err);
    free(folder);
    fclose(in);
    waitpid(child, NULL, 0);
    return result;
}

/* ---- the trace ---- */

int pyrec_frontend_make_folder(struct pyrec_options *options, struct pyrec_error *err)
{
    const char *parent = getenv("TMPDIR");
    int size = snprintf(options->folder, sizeof options->folder, "%s/pyrec-XXXXXX",
                        parent != NULL && parent[0] == '/' ? parent : "/tmp");

    if (size >= (int)sizeof options->folder - 16 || mkdtemp(options->folder) == NULL) {
        pyrec_error_set(err, PYREC_FAILED, "%s: no folder for the trace: %s", options->folder,
                        strerror(errno));
        options->folder[0] = '\0';
        return -1;
    }
    snprintf(options->folder_trace, sizeof options->folder_trace, "%s/trace.bin", options->folder);
    options->out = options->folder_trace;
    return 0;
}

void pyrec_frontend_remove_folder(struct pyrec_options *options)
{
    if (options->folder[0] == '\0')
        return;
    unlink(options->folder_trace);
    rmdir(options->folder);
    options->folder[0] = '\0';
}
