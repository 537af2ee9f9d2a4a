#include <dlfcn.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "recorder/preload.h"

/* The oldest minor version of Python 3 that the recorder can be built for. */
#define OLDEST_MINOR 9

/* The interpreter's functions, as far as they are used here: no header of one version serves all. */
typedef int audit_function(const char *event, void *args, void *data);

static struct {
    const struct preload_run *run;
    char extension[PATH_MAX];
    atomic_bool has_begun;
} python;

static void *find_function(const char *name)
{
    return dlsym(RTLD_DEFAULT, name);
}

/* ---- which recorder ------------------------------------------------------------------------------ */

struct version {
    char text[32]; /* as `3.11.2` */
    int major, minor;
    bool is_debug, is_free_threaded;
};

static bool read_version(struct version *version)
{
    const char *(*get_version)(void) = (const char *(*)(void))find_function("Py_GetVersion");
    const char *text;

    if (get_version == NULL)
        return false;
    text = get_version();
    if (sscanf(text, "%d.%d", &version->major, &version->minor) != 2)
        return false;
    snprintf(version->text, sizeof version->text, "%.*s", (int)strcspn(text, " "), text);
    version->is_free_threaded = strstr(text, "free-threading") != NULL;
    version->is_debug = find_function("_Py_NegativeRefcount") != NULL;
    return true;
}

static bool find_extension(const struct version *version)
{
    const char *self = preload_self();
    const char *slash = strrchr(self, '/');
    int size = snprintf(python.extension, sizeof python.extension, "%.*s/cpython-%d%d%s-" PYREC_MULTIARCH "/pyrec.so",
                        slash == NULL ? 1 : (int)(slash - self), slash == NULL ? "." : self, version->major,
                        version->minor, version->is_debug ? "d" : "");

    return size < (int)sizeof python.extension && access(python.extension, R_OK) == 0;
}

static void refuse_version(const struct version *version)
{
    char why[2 * PATH_MAX + 200];
    char program[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);

    program[size < 0 ? 0 : size] = '\0';
    if (version->is_free_threaded)
        snprintf(why, sizeof why, "%s is a free-threaded build of CPython %s, which pyrec does not record", program,
                 version->text);
    else if (version->major != 3 || version->minor < OLDEST_MINOR)
        snprintf(why, sizeof why, "%s is CPython %s; pyrec records 3.%d and later", program, version->text,
                 OLDEST_MINOR);
    else
        snprintf(why, sizeof why, "no recorder for CPython %s (%s); build it: make PYTHON=%s", version->text,
                 program, program);
    preload_refuse(why);
}

/* ---- the moment to start ------------------------------------------------------------------------- */

/* The text of -c, from the event's arguments. The interpreter keeps it with the string object. */
static const char *read_code(const char *event, void *args)
{
    void *(*get_item)(void *, ssize_t) = (void *(*)(void *, ssize_t))find_function("PyTuple_GetItem");
    const char *(*as_utf8)(void *) = (const char *(*)(void *))find_function("PyUnicode_AsUTF8");
    void (*clear)(void) = (void (*)(void))find_function("PyErr_Clear");
    const char *code = NULL;
    void *text;

    if (strcmp(event, "cpython.run_command") != 0 || get_item == NULL || as_utf8 == NULL || clear == NULL)
        return NULL;
    text = get_item(args, 0);
    if (text != NULL)
        code = as_utf8(text);
    if (code == NULL)
        clear();
    return code;
}

static int audit(const char *event, void *args, void *data);

static int start(const char *event, void *args, struct inside_hooks *hooks, char *why, size_t why_size)
{
    struct inside_run run = {
        .version = INSIDE_VERSION,
        .how = python.run->how,
        .parent = python.run->parent,
        .mark = python.run->mark,
        .path = python.run->path,
        .run_event = event,
        .code = read_code(event, args),
        .audit_hook = (void *)audit,
    };
    void *extension = dlopen(python.extension, RTLD_NOW | RTLD_LOCAL);
    inside_start_function *entry = NULL;

    if (extension != NULL)
        entry = (inside_start_function *)dlsym(extension, INSIDE_ENTRY);
    if (entry == NULL) {
        snprintf(why, why_size, "%s", dlerror());
        return -1;
    }
    return entry(&run, hooks, why, why_size);
}

/* Sees every audited event until the program starts; the extension then takes it out. */
static int audit(const char *event, void *args, void *data)
{
    struct inside_hooks hooks = { 0 };
    char why[1024] = "";

    (void)data;
    if (strncmp(event, "cpython.run_", 12) != 0 || atomic_exchange(&python.has_begun, true))
        return 0;
    if (start(event, args, &hooks, why, sizeof why) == 0)
        preload_recording(&hooks);
    else if (python.run->how == INSIDE_FIRST)
        preload_refuse(why);
    return 0;
}

bool preload_python_enter(const struct preload_run *run)
{
    int (*add_hook)(audit_function *, void *) = (int (*)(audit_function *, void *))find_function("PySys_AddAuditHook");
    struct version version;

    if (!read_version(&version))
        return false;
    python.run = run;
    if (version.is_free_threaded || add_hook == NULL || !find_extension(&version)) {
        if (run->how == INSIDE_FIRST)
            refuse_version(&version);
        return true;
    }
    add_hook(audit, NULL);
    return true;
}
