#include "recorder/pyrec_python.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_folder(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* 0, or the errno execve() would give. */
static int check_executable(const char *path)
{
    struct stat status;

    if (stat(path, &status) != 0)
        return errno;
    if (!S_ISREG(status.st_mode))
        return EACCES;
    return access(path, X_OK) == 0 ? 0 : errno;
}

/* Joins into `to`; false: too long. */
static bool join(char to[PATH_MAX], const char *folder, size_t folder_size, const char *name)
{
    const char *slash = folder_size == 0 || folder[folder_size - 1] == '/' ? "" : "/";

    return snprintf(to, PATH_MAX, "%.*s%s%s", (int)folder_size, folder, slash, name) < PATH_MAX;
}

/* `from` fits. */
static void copy(char to[PATH_MAX], const char *from)
{
    snprintf(to, PATH_MAX, "%s", from);
}

/* As execvp(3): the first on PATH that can be executed; an empty entry is the current folder. 0 or
 * an errno. */
static int search_path(const char *name, char found[PATH_MAX])
{
    const char *path = getenv("PATH");
    int reason = ENOENT;

    if (path == NULL)
        path = "/bin:/usr/bin";
    for (;;) {
        size_t size = strcspn(path, ":");

        if (join(found, size == 0 ? "." : path, size == 0 ? 1 : size, name)) {
            int checked = check_executable(found);

            if (checked == 0)
                return 0;
            if (checked == EACCES && !is_folder(found))
                reason = EACCES;
        }
        if (path[size] == '\0')
            return reason;
        path += size + 1;
    }
}

/* `<folder>/<middle>python3`, or `python` there. */
static bool find_in_folder(const char *folder, const char *middle, char found[PATH_MAX])
{
    static const char *const names[] = {"python3", "python"};
    char name[64];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(name, sizeof name, "%s%s", middle, names[i]);
        if (join(found, folder, strlen(folder), name) && check_executable(found) == 0)
            return true;
    }
    return false;
}

/* A path, a name on PATH, or the folder of a virtual environment. `from`: who named it, for the
 * error. */
static int find_named(const char *named, const char *from, struct pyrec_python *python,
                      struct pyrec_error *err)
{
    bool is_path = strchr(named, '/') != NULL;
    int reason;

    if (strlen(named) >= PATH_MAX)
        return pyrec_error_set(err, PYREC_NOT_FOUND, "%s: the name is too long", from);
    copy(python->name, named);
    copy(python->path, named);
    reason = is_path ? check_executable(named) : search_path(named, python->path);
    if (reason != 0 && is_folder(named)) {
        if (!find_in_folder(named, "bin/", python->path))
            return pyrec_error_set(err, PYREC_NOT_FOUND, "%s %s: has no bin/python3", from, named);
        copy(python->name, python->path);
        return 0;
    }
    if (reason == 0)
        return 0;
    return pyrec_error_set(
        err, reason == ENOENT || reason == ENOTDIR ? PYREC_NOT_FOUND : PYREC_NOT_EXECUTABLE,
        "%s %s: %s", from, named, strerror(reason));
}

/* pip puts pyrec beside the interpreter of a virtual environment; a system's /usr/bin has both by
 * chance. */
static bool is_virtual_environment(const char *own_folder)
{
    char mark[PATH_MAX];

    return join(mark, own_folder, strlen(own_folder), "../pyvenv.cfg") && access(mark, F_OK) == 0;
}

int pyrec_python_find(const char *option, const char *own_folder, struct pyrec_python *python,
                      struct pyrec_error *err)
{
    const char *preferred = getenv("PYREC_PYTHON");
    const char *environment = getenv("VIRTUAL_ENV");

    if (option != NULL)
        return find_named(option, "--python", python, err);
    if (preferred != NULL && preferred[0] != '\0')
        return find_named(preferred, "PYREC_PYTHON", python, err);
    if ((is_virtual_environment(own_folder) && find_in_folder(own_folder, "", python->path)) ||
        (environment != NULL && environment[0] != '\0' &&
         find_in_folder(environment, "bin/", python->path))) {
        copy(python->name, python->path);
        return 0;
    }
    return find_named("python3", "no interpreter: PATH has no", python, err);
}
