/* Outputs appear whole or not at all: every way of failing leaves what was there before, and
 * nothing beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "formats/error.h"
#include "formats/output.h"

struct place {
    char folder[64];
    char file[80];
};

static int enter(void **state)
{
    struct place *place = calloc(1, sizeof *place);

    strcpy(place->folder, "/tmp/pyrec-output-XXXXXX");
    if (mkdtemp(place->folder) == NULL)
        return -1;
    snprintf(place->file, sizeof place->file, "%s/report", place->folder);
    *state = place;
    return 0;
}

static int leave(void **state)
{
    struct place *place = *state;
    char command[128];

    snprintf(command, sizeof command, "rm -rf '%s'", place->folder);
    free(place);
    return system(command);
}

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void assert_content(const char *path, const char *expected)
{
    char text[256] = "";
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(text, expected);
}

static int files_in(const char *folder)
{
    DIR *dir = opendir(folder);
    int count = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count - 2;
}

static void nothing_is_visible_before_the_commit(void **state)
{
    const struct place *place = *state;
    struct error err = {0};
    struct output *out;

    put(place->file, "old");
    out = output_open_file(place->file, &err);
    assert_non_null(out);
    output_text(out, "new ");
    output_uint(out, UINT64_MAX);
    output_format(out, " %d", 7);
    assert_content(place->file, "old");
    assert_int_equal(output_commit(out, &err), 0);
    assert_content(place->file, "new 18446744073709551615 7");
    output_close(out);
    assert_int_equal(files_in(place->folder), 1);
}

static void closing_without_commit_changes_nothing(void **state)
{
    const struct place *place = *state;
    struct error err = {0};
    struct output *out = output_open_file(place->file, &err);

    output_text(out, "never");
    output_close(out);
    assert_int_equal(files_in(place->folder), 0);
    output_close(NULL);
}

static void the_mode_is_the_umasks(void **state)
{
    const struct place *place = *state;
    mode_t mask = umask(027);
    struct error err = {0};
    struct output *out = output_open_file(place->file, &err);
    struct stat status;

    output_text(out, "x");
    assert_int_equal(output_commit(out, &err), 0);
    output_close(out);
    umask(mask);
    assert_int_equal(stat(place->file, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
}

/* A disk that is full, seen by the writer as any failing write(): the limit is on the size of
 * files. */
static void a_write_that_fails_keeps_the_old_file(void **state)
{
    const struct place *place = *state;
    struct rlimit before, small;
    struct error err = {0};
    struct output *out;
    char block[4096];

    memset(block, 'x', sizeof block);
    put(place->file, "old");
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 100000;
    out = output_open_file(place->file, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (int i = 0; i < 100; i++)
        output_write(out, block, sizeof block);
    assert_true(output_failed(out));
    assert_int_equal(output_commit(out, &err), -1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_non_null(strstr(err.text, place->file));
    assert_non_null(strstr(err.text, "File too large"));
    output_close(out);
    assert_content(place->file, "old");
    assert_int_equal(files_in(place->folder), 1);
}

static void a_full_device_is_an_error(void **state)
{
    struct error err = {0};
    struct output *out = output_open_file("/dev/full", &err);

    (void)state;
    assert_non_null(out);
    output_text(out, "x");
    assert_int_equal(output_commit(out, &err), -1);
    assert_string_equal(err.text, "/dev/full: cannot write: No space left on device");
    output_close(out);
}

static void a_device_is_written_to_and_not_replaced(void **state)
{
    struct error err = {0};
    struct output *out = output_open_file("/dev/null", &err);
    struct stat status;

    (void)state;
    output_text(out, "x");
    assert_int_equal(output_commit(out, &err), 0);
    output_close(out);
    assert_int_equal(stat("/dev/null", &status), 0);
    assert_true(S_ISCHR(status.st_mode));
}

static void a_link_is_written_through(void **state)
{
    const struct place *place = *state;
    char link[96];
    struct error err = {0};
    struct output *out;
    struct stat status;

    put(place->file, "old");
    snprintf(link, sizeof link, "%s/link", place->folder);
    assert_int_equal(symlink("report", link), 0);
    out = output_open_file(link, &err);
    output_text(out, "new");
    assert_int_equal(output_commit(out, &err), 0);
    output_close(out);
    assert_int_equal(lstat(link, &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_content(place->file, "new");
}

static void places_that_cannot_be_written_are_refused_at_once(void **state)
{
    const struct place *place = *state;
    char path[96];
    struct error err = {0};

    assert_null(output_open_file(place->folder, &err));
    assert_non_null(strstr(err.text, "Is a directory"));
    snprintf(path, sizeof path, "%s/no/such/folder", place->folder);
    err = (struct error){0};
    assert_null(output_open_file(path, &err));
    assert_non_null(strstr(err.text, "No such file or directory"));
}

static void a_family_of_files_appears_together(void **state)
{
    const struct place *place = *state;
    char second[96];
    struct error err = {0};
    struct output *out = output_open_file(place->file, &err);

    output_text(out, "one");
    assert_int_equal(output_next_file(out, "-02", &err), 0);
    output_text(out, "two");
    snprintf(second, sizeof second, "%s-02", place->file);
    assert_int_equal(access(place->file, F_OK), -1);
    assert_int_equal(output_commit(out, &err), 0);
    output_close(out);
    assert_content(place->file, "one");
    assert_content(second, "two");
    assert_int_equal(files_in(place->folder), 2);
}

static void a_family_that_is_given_up_leaves_nothing(void **state)
{
    const struct place *place = *state;
    struct error err = {0};
    struct output *out = output_open_file(place->file, &err);

    assert_int_equal(output_next_file(out, "-02", &err), 0);
    output_close(out);
    assert_int_equal(files_in(place->folder), 0);
}

static void standard_output_is_one_file_only(void **state)
{
    struct error err = {0};
    struct output *out = output_open_stdout(NULL, &err);

    (void)state;
    assert_int_equal(output_next_file(out, "-02", &err), -1);
    assert_non_null(strstr(err.text, "standard output"));
    assert_int_equal(output_terminal(out)->width, 0);
    output_close(out);
}

/* The commit's result for a standard output that is `fd`, in a process of its own. */
static int commit_to(int fd)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        struct error err = {0};
        struct output *out;

        signal(SIGPIPE, SIG_IGN);
        dup2(fd, STDOUT_FILENO);
        out = output_open_stdout(NULL, &err);
        output_text(out, "x");
        _exit(output_commit(out, &err) == 0 ? 0 : err.text[0] != '\0' ? 1 : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_reader_that_went_away_is_no_error(void **state)
{
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    assert_int_equal(commit_to(ends[1]), 0);
    close(ends[1]);
}

static void a_full_standard_output_is_an_error(void **state)
{
    int full = open("/dev/full", O_WRONLY);

    (void)state;
    assert_int_equal(commit_to(full), 1);
    close(full);
}

/* Killed in the middle: nothing under the name, and where the file system has nameless files,
 * nothing at all. */
static void a_kill_leaves_no_half_file(void **state)
{
    const struct place *place = *state;
    int probe, status;
    pid_t child = fork();

    if (child == 0) {
        struct error err = {0};
        struct output *out = output_open_file(place->file, &err);
        char block[4096] = "";

        for (int i = 0; i < 100; i++)
            output_write(out, block, sizeof block);
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(access(place->file, F_OK), -1);
    probe = open(place->folder, O_TMPFILE | O_WRONLY, 0600);
    if (probe >= 0) {
        close(probe);
        assert_int_equal(files_in(place->folder), 0);
    }
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(nothing_is_visible_before_the_commit),
        IN_A_FOLDER(closing_without_commit_changes_nothing),
        IN_A_FOLDER(the_mode_is_the_umasks),
        IN_A_FOLDER(a_write_that_fails_keeps_the_old_file),
        cmocka_unit_test(a_full_device_is_an_error),
        cmocka_unit_test(a_device_is_written_to_and_not_replaced),
        IN_A_FOLDER(a_link_is_written_through),
        IN_A_FOLDER(places_that_cannot_be_written_are_refused_at_once),
        IN_A_FOLDER(a_family_of_files_appears_together),
        IN_A_FOLDER(a_family_that_is_given_up_leaves_nothing),
        cmocka_unit_test(standard_output_is_one_file_only),
        cmocka_unit_test(a_reader_that_went_away_is_no_error),
        cmocka_unit_test(a_full_standard_output_is_an_error),
        IN_A_FOLDER(a_kill_leaves_no_half_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
