#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "recorder/preload.h"

/* The minor versions of Python 3 that the recorder can be built for. */
#define OLDEST_MINOR 9
#define NEWEST_MINOR 14

/* The interpreter's functions and types, as far as they are used here: no header of one version
 * serves all. */
typedef int audit_function(const char *event, void *args, void *data);

struct allocator {
    void *context;
    void *(*malloc)(void *context, size_t size);
    void *(*calloc)(void *context, size_t count, size_t size);
    void *(*realloc)(void *context, void *block, size_t size);
    void (*free)(void *context, void *block);
};

struct audit_entry {
    struct audit_entry *next;
};

static struct {
    const struct preload_run *run;
    char extension[PATH_MAX];
    atomic_bool has_begun;
    struct allocator allocator; /* the interpreter's own */
    struct audit_entry *entry;  /* what our hook is in its list; NULL: not known */
} python;

static void *find_function(const char *name)
{
    return dlsym(RTLD_DEFAULT, name);
}

/* ---- which recorder ---- */

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

static bool is_recordable(const struct version *version)
{
    return !version->is_free_threaded && version->major == 3 && version->minor >= OLDEST_MINOR &&
           version->minor <= NEWEST_MINOR;
}

static bool find_extension(const struct version *version)
{
    const char *self = preload_self();
    const char *slash = strrchr(self, '/');
    int size = snprintf(python.extension, sizeof python.extension,
                        "%.*s/cpython-%d%d%s-" PYREC_MULTIARCH "/pyrec.so",
                        slash == NULL ? 1 : (int)(slash - self), slash == NULL ? "." : self,
                        version->major, version->minor, version->is_debug ? "d" : "");

    return size < (int)sizeof python.extension && access(python.extension, R_OK) == 0;
}

static void refuse_version(const struct version *version)
{
    char why[2 * PATH_MAX + 200];
    char program[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);

    program[size < 0 ? 0 : size] = '\0';
    if (version->is_free_threaded)
        snprintf(why, sizeof why,
                 "%s is a free-threaded build of CPython %s, which pyrec does not record", program,
                 version->text);
    else if (!is_recordable(version))
        snprintf(why, sizeof why, "%s is CPython %s; pyrec records 3.%d to 3.%d", program,
                 version->text, OLDEST_MINOR, NEWEST_MINOR);
    else
        snprintf(why, sizeof why, "no recorder for CPython %s (%s); build it: make PYTHON=%s",
                 version->text, program, program);
    preload_refuse(why);
}

/* ---- the audit hook ---- */

/* The entry of a hook is in the interpreter's list for good: it costs 20 ns at each audited call,
 * and one made before initialization is freed by another allocator than made it when -X dev has
 * debug hooks on. So the block it gets is looked at in passing, and its only reference, in the
 * interpreter's global state, found by value. */

static int audit(const char *event, void *args, void *data);

static void *note_entry(void *unused, size_t size)
{
    (void)unused;
    python.entry = python.allocator.malloc(python.allocator.context, size);
    return python.entry;
}

static void add_hook(void)
{
    int (*add)(audit_function *, void *) =
        (int (*)(audit_function *, void *))find_function("PySys_AddAuditHook");
    void (*get)(int, struct allocator *) =
        (void (*)(int, struct allocator *))find_function("PyMem_GetAllocator");
    void (*set)(int, struct allocator *) =
        (void (*)(int, struct allocator *))find_function("PyMem_SetAllocator");
    const int raw_domain = 0;
    struct allocator noting;

    get(raw_domain, &python.allocator);
    noting = python.allocator;
    noting.malloc = note_entry;
    set(raw_domain, &noting);
    add(audit, NULL);
    set(raw_domain, &python.allocator);
}

/* The entry may be in use right now, by the caller of the hook: it is not freed. */
static void remove_hook(void)
{
    ElfW(Sym) *symbol = NULL;
    Dl_info info;
    void *runtime = find_function("_PyRuntime");
    void **words = runtime;

    if (python.entry == NULL || runtime == NULL ||
        dladdr1(runtime, &info, (void **)&symbol, RTLD_DL_SYMENT) == 0 || symbol == NULL)
        return;
    for (size_t i = 0; i < symbol->st_size / sizeof(void *); i++) {
        if (words[i] == python.entry) {
            words[i] = python.entry->next;
            break;
        }
    }
    python.entry = NULL;
}

/* ---- the moment to start ---- */

/* The text of -c, from the event's arguments. The interpreter keeps it with the string object. */
static const char *read_code(const char *event, void *args)
{
    void *(*get_item)(void *, ssize_t) =
        (void *(*)(void *, ssize_t))find_function("PyTuple_GetItem");
    const char *(*as_utf8)(void *) = (const char *(*)(void *))find_function("PyUnicode_AsUTF8");
    void (*clear)(void) = (void (*)(void))find_function("PyErr_Clear");
    const char *code = NULL;
    void *text;

    if (strcmp(event, "cpython.run_command") != 0 || get_item == NULL || as_utf8 == NULL ||
        clear == NULL)
        return NULL;
    text = get_item(args, 0);
    if (text != NULL)
        code = as_utf8(text);
    if (code == NULL)
        clear();
    return code;
}

static int start(const char *event, void *args, struct inside_hooks *hooks, char *why,
                 size_t why_size)
{
    struct inside_run run = {
        .version = INSIDE_VERSION,
        .how = python.run->how,
        .parent = python.run->parent,
        .mark = python.run->mark,
        .path = python.run->path,
        .run_event = event,
        .code = read_code(event, args),
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

static void begin(const char *event, void *args)
{
    struct inside_hooks hooks = {0};
    char why[1024] = "";

    if (start(event, args, &hooks, why, sizeof why) == 0)
        preload_recording(&hooks);
    else if (python.run->how == INSIDE_FIRST)
        preload_refuse(why);
}

/* Sees every audited event until the program starts, or the interpreter ends without one. */
static int audit(const char *event, void *args, void *data)
{
    bool is_start = strncmp(event, "cpython.run_", 12) == 0;

    (void)data;
    if (!is_start && strcmp(event, "cpython._PySys_ClearAuditHooks") != 0)
        return 0;
    if (atomic_exchange(&python.has_begun, true))
        return 0;
    remove_hook();
    if (is_start)
        begin(event, args);
    return 0;
}

bool preload_python_enter(const struct preload_run *run)
{
    struct version version;

    if (!read_version(&version))
        return false;
    python.run = run;
    if (!is_recordable(&version) || !find_extension(&version)) {
        if (run->how == INSIDE_FIRST)
            refuse_version(&version);
        return true;
    }
    add_hook();
    return true;
}
