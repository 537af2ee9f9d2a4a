#include "analyzer/command.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/sql_rows.h"
#include "formats/error.h"
#include "formats/output.h"
#include "formats/text.h"

enum { HEAD_SIZE = 512, ADVICE_SIZE = 2048 };

typedef bool recognize_function(const unsigned char *head, int size);

/* A file to be written. */
struct target {
    const char *path;              /* borrowed */
    const char *what;              /* borrowed; the kind of file it is to be */
    recognize_function *recognize; /* is an existing file of that kind? */
};

/* ---- what may be replaced ---- */

static bool recognize_database(const unsigned char *head, int size)
{
    return size >= 72 && memcmp(head, "SQLite format 3", 16) == 0 &&
           memcmp(head + 68, "PYRC", 4) == 0;
}

/* Rows have no mark of their own. What is text and of the right name is taken for them. */
static bool recognize_rows(const unsigned char *head, int size)
{
    const char *at = (const char *)head, *end = at + size;

    while (at < end) {
        uint32_t character = text_next(&at, end);

        if (character < 0x20 && character != '\t' && character != '\n' && character != '\r')
            return false;
        if (character >= TEXT_BYTE && end - at >= 4) /* not only cut at the end */
            return false;
    }
    return true;
}

static bool recognize_none(const unsigned char *head, int size)
{
    (void)head;
    (void)size;
    return false;
}

static bool names_rows(const char *path)
{
    static const char *const suffixes[] = {".csv", ".json", ".tsv", ".tab", NULL};
    size_t size = strlen(path);

    for (const char *const *suffix = suffixes; *suffix != NULL; suffix++) {
        size_t length = strlen(*suffix);

        if (size > length && strcmp(path + size - length, *suffix) == 0)
            return true;
    }
    return false;
}

static int check_kind(const struct target *target, struct error *err)
{
    unsigned char head[HEAD_SIZE];
    int fd = open(target->path, O_RDONLY | O_CLOEXEC);
    ssize_t size;

    if (fd < 0)
        return error_set(err, "%s: exists and cannot be read (%s); --force replaces it",
                         target->path, strerror(errno));
    size = pread(fd, head, sizeof head, 0);
    close(fd);
    if (size == 0 || (size > 0 && target->recognize(head, (int)size)))
        return 0;
    return error_set(err, "%s: exists and is something else than %s; --force replaces it",
                     target->path, target->what);
}

/* A file that does not exist yet needs a directory to be in. */
static int check_directory(const char *path, struct error *err)
{
    char *copy = strdup(path);
    int status = 0;

    if (copy == NULL)
        return error_set(err, "out of memory");
    if (access(dirname(copy), W_OK | X_OK) < 0)
        status = error_set(err, "%s: cannot write: %s", path, strerror(errno));
    free(copy);
    return status;
}

static int check_is_no_input(const struct command *command, const struct target *target,
                             const struct stat *found, struct error *err)
{
    const struct options_list *inputs = &command->options->inputs;

    for (size_t i = 0; i < inputs->count; i++) {
        struct stat input;

        if (stat(inputs->items[i], &input) == 0 && input.st_dev == found->st_dev &&
            input.st_ino == found->st_ino)
            return error_set(err, "%s: is an input; it will not be overwritten", target->path);
    }
    return 0;
}

static int check_target(const struct command *command, const struct target *target,
                        struct error *err)
{
    struct stat found;

    if (stat(target->path, &found) < 0)
        return errno == ENOENT ? check_directory(target->path, err)
                               : error_set(err, "%s: %s", target->path, strerror(errno));
    if (S_ISDIR(found.st_mode))
        return error_set(err, "%s: is a directory", target->path);
    if (check_is_no_input(command, target, &found, err) < 0)
        return -1;
    if (!S_ISREG(found.st_mode))
        return target->recognize != recognize_database
                   ? 0
                   : error_set(err, "%s: a database needs a regular file", target->path);
    if (!command->options->force && check_kind(target, err) < 0)
        return -1;
    return check_directory(target->path, err);
}

/* ---- all of them ---- */

/* The files to be written, to be freed; NULL: out of memory. */
static struct target *list_targets(const struct options *options, size_t *count)
{
    struct target *targets = calloc(options->report_count + 3, sizeof *targets);
    struct target *next = targets;

    if (targets == NULL)
        return NULL;
    if (options->database_path != NULL)
        *next++ =
            (struct target){options->database_path, "a database of pyanalyze", recognize_database};
    if (options->zip_path != NULL)
        *next++ = (struct target){options->zip_path, "zip", format_find("zip")->recognize};
    for (size_t i = 0; i < options->report_count; i++) {
        const struct options_report *report = &options->reports[i];

        if (report->path != NULL)
            *next++ =
                (struct target){report->path, report->format->name, report->format->recognize};
    }
    if (options->rows_path != NULL)
        *next++ = (struct target){options->rows_path, "rows of a query",
                                  names_rows(options->rows_path) ? recognize_rows : recognize_none};
    *count = (size_t)(next - targets);
    return targets;
}

static int check_distinct(const struct target *targets, size_t count, struct error *err)
{
    for (size_t i = 1; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(targets[i].path, targets[j].path) == 0)
                return error_set_usage(err, "%s: both %s and %s would go there", targets[i].path,
                                       targets[j].what, targets[i].what);
        }
    }
    return 0;
}

/* Bytes that are no text would do anything to a terminal. */
static int check_terminal(const struct command *command, struct error *err)
{
    for (size_t i = 0; i < command->options->report_count; i++) {
        const struct options_report *report = &command->options->reports[i];

        if (report->path == NULL && report->format->binary && command->terminal.present)
            return error_set_usage(err,
                                   "--format %s: is not written to a terminal; name a file with -o",
                                   report->format->name);
    }
    return 0;
}

int command_check_outputs(struct command *command, struct error *err)
{
    size_t count;
    struct target *targets = list_targets(command->options, &count);
    int status;

    if (targets == NULL)
        return error_set(err, "out of memory");
    status = check_terminal(command, err);
    if (status == 0)
        status = check_distinct(targets, count, err);
    for (size_t i = 0; i < count && status == 0; i++)
        status = check_target(command, &targets[i], err);
    free(targets);
    return status;
}

/* ---- writing ---- */

static struct output *open_output(struct command *command, const char *path, struct error *err)
{
    if (path != NULL)
        return output_open_file(path, err);
    terminal_start_pager(&command->terminal);
    return output_open_stdout(&command->terminal.dress, err);
}

static void advise(struct command *command, const struct options_report *report)
{
    char advice[ADVICE_SIZE] = "";

    if (report->format->advise == NULL)
        return;
    report->format->advise(&command->options->format, report->path, advice, sizeof advice);
    for (char *line = strtok(advice, "\n"); line != NULL; line = strtok(NULL, "\n"))
        fprintf(stderr, "pyanalyze: %s\n", line);
}

static int write_report(struct command *command, const struct options_report *report,
                        struct error *err)
{
    struct output *out = open_output(command, report->path, err);
    int status;

    if (out == NULL)
        return -1;
    progress_begin(&command->progress, report->format->name);
    status = report->format->write(command->db, &command->options->format, out, err);
    if (status == 0)
        status = output_commit(out, err);
    output_close(out);
    progress_end(&command->progress, NULL);
    if (status == 0)
        advise(command, report);
    return status;
}

static int rows_style(const struct command *command)
{
    switch (command->options->rows) {
    case OPTIONS_ROWS_TSV:
        return SQL_ROWS_TSV;
    case OPTIONS_ROWS_CSV:
        return SQL_ROWS_CSV;
    case OPTIONS_ROWS_JSON:
        return SQL_ROWS_JSON;
    default:
        return command->terminal.present ? SQL_ROWS_ALIGNED : SQL_ROWS_TSV;
    }
}

static int write_rows(struct command *command, struct error *err)
{
    struct output *out = open_output(command, command->options->rows_path, err);
    int status;

    if (out == NULL)
        return -1;
    progress_begin(&command->progress, "sql");
    status = sql_run(command->db, command->queries, command->options->queries.count,
                     rows_style(command), out, err);
    /* On standard output the rows before an error are shown all the same; a file appears whole or
     * not at all. */
    if (status == 0 || command->options->rows_path == NULL)
        status = output_commit(out, err) < 0 ? -1 : status;
    output_close(out);
    progress_end(&command->progress, NULL);
    return status;
}

int command_write_outputs(struct command *command, struct error *err)
{
    const struct options *options = command->options;

    if (options->zip_path != NULL) {
        const struct options_report zip = {format_find("zip"), options->zip_path};

        if (write_report(command, &zip, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < options->report_count; i++) {
        if (write_report(command, &options->reports[i], err) < 0)
            return -1;
    }
    return options->queries.count > 0 ? write_rows(command, err) : 0;
}
