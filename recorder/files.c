#include "recorder/files.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/trace/encode.h"
#include "formats/trace/pattern.h"
#include "formats/trace/sha256.h"
#include "recorder/clock.h"
#include "recorder/echo.h"
#include "recorder/facts.h"
#include "recorder/recorder.h"
#include "recorder/texts.h"

/* A source text is put into the trace in pieces of this size. Before each piece stand the file's
 * number and two sizes: the first has room for them, the others put them over what is written. */
#define SOURCE_PIECE (1u << 20)
#define SOURCE_HEAD (3 * TRACE_VARINT_SIZE_MAX)
#define SOURCE_LIMIT (UINT64_C(1) << 30)

/* The room that one text was read into is kept for the next, unless it is larger than this. */
#define ROOM_KEPT (256u << 10)
#define ROOM_LEAST (32u << 10)

/* A file as it was when we first saw it; a module loaded again from another text is another. */
struct known_file {
    char *path; /* owned; the absolute path, or <...> */
    size_t path_size;
    struct file_info info;
    bool has_text;
    struct stat st; /* of the text, all zero if it is not in a file */
    struct known_file *next;
};

#define BUCKETS 1024

static struct {
    struct known_file *buckets[BUCKETS];
    char *stdlib; /* owned: directory of the standard library, with a slash at the end */
    const char *command_name; /* what the code is called whose text it is: */
    uint8_t *command; /* owned: SOURCE_HEAD and the text of -c, until its file has been defined */
    size_t command_size;
    uint8_t *room; /* owned: for the next text that is read from a file, NULL: none */
    size_t room_size;
} files;

/* Text. */

static size_t put_code_point(uint8_t *at, Py_UCS4 c)
{
    if (c < 0x80) {
        at[0] = (uint8_t)c;
        return 1;
    }
    if (c >= 0xDC80 && c <= 0xDCFF) { /* surrogateescape: the byte itself */
        at[0] = (uint8_t)(c - 0xDC00);
        return 1;
    }
    if (c < 0x800) {
        at[0] = (uint8_t)(0xC0 | c >> 6);
        at[1] = (uint8_t)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        at[0] = (uint8_t)(0xE0 | c >> 12);
        at[1] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        at[2] = (uint8_t)(0x80 | (c & 0x3F));
        return 3;
    }
    at[0] = (uint8_t)(0xF0 | c >> 18);
    at[1] = (uint8_t)(0x80 | (c >> 12 & 0x3F));
    at[2] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
    at[3] = (uint8_t)(0x80 | (c & 0x3F));
    return 4;
}

char *files_text(PyObject *text, size_t *size)
{
    Py_ssize_t length;
    uint8_t *bytes;
    size_t used = 0;

    *size = 0;
    if (!PyUnicode_Check(text) || PyUnicode_READY(text) < 0)
        return NULL;
    length = PyUnicode_GET_LENGTH(text);
    bytes = malloc((size_t)length * (PyUnicode_IS_ASCII(text) ? 1 : 4) + 1);
    if (bytes == NULL)
        return NULL;
    if (PyUnicode_IS_ASCII(text)) {
        memcpy(bytes, PyUnicode_1BYTE_DATA(text), (size_t)length);
        used = (size_t)length;
    } else {
        for (Py_ssize_t i = 0; i < length; i++)
            used += put_code_point(bytes + used, PyUnicode_READ_CHAR(text, i));
    }
    bytes[used] = '\0';
    *size = used;
    return (char *)bytes;
}

/* Paths. */

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool is_pseudo(const char *path)
{
    return path[0] == '<' || path[0] == '\0';
}

/* The absolute path of a co_filename; relative ones are relative to where the process began. Owned
 * by the caller. */
static char *absolute_path(PyObject *filename, size_t *size)
{
    char *text = files_text(filename, size);
    char *path;
    size_t cwd_size;

    if (text == NULL || is_pseudo(text) || text[0] == '/' || recorder.cwd == NULL)
        return text;
    while (starts_with(text, "./")) {
        memmove(text, text + 2, *size - 1);
        *size -= 2;
    }
    cwd_size = strlen(recorder.cwd);
    path = malloc(cwd_size + 1 + *size + 1);
    if (path == NULL)
        return text;
    memcpy(path, recorder.cwd, cwd_size);
    path[cwd_size] = '/';
    memcpy(path + cwd_size + 1, text, *size + 1);
    *size += cwd_size + 1;
    free(text);
    return path;
}

static enum trace_origin path_origin(const char *path)
{
    if (starts_with(path, "<frozen "))
        return TRACE_ORIGIN_FROZEN;
    if (is_pseudo(path))
        return TRACE_ORIGIN_GENERATED;
    if (strstr(path, "/site-packages/") != NULL || strstr(path, "/dist-packages/") != NULL)
        return TRACE_ORIGIN_SITE;
    if (files.stdlib != NULL && starts_with(path, files.stdlib))
        return TRACE_ORIGIN_STDLIB;
    return TRACE_ORIGIN_PROGRAM;
}

/* Where the path goes on behind `entry` of sys.path, or NULL. */
static const char *behind_entry(const char *path, PyObject *entry)
{
    size_t size = 0;
    char *text = PyUnicode_Check(entry) ? files_text(entry, &size) : NULL;
    const char *rest = NULL;

    if (text != NULL && size > 0 && text[0] == '/' && strncmp(path, text, size) == 0) {
        rest = path + size;
        if (rest[-1] != '/')
            rest = *rest == '/' ? rest + 1 : NULL;
    }
    free(text);
    return rest;
}

/* The path relative to the sys.path entry it came from: the longest that fits. */
static const char *relative_name(const char *path)
{
    PyObject *entries = PySys_GetObject("path");
    const char *name = path;

    if (is_pseudo(path) || entries == NULL || !PyList_Check(entries))
        return path;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(entries); i++) {
        const char *rest = behind_entry(path, PyList_GET_ITEM(entries, i));

        if (rest != NULL && rest > name)
            name = rest;
    }
    return name;
}

/* Our own package, wherever it is installed: a folder `pyrec` with this module in it. Where it was
 * found is remembered. */
static bool is_own(const char *path)
{
    static const char folder[] = "/pyrec/";
    static char own[PATH_MAX];
    char module[PATH_MAX + sizeof "_load.py"];

    if (own[0] != '\0' && starts_with(path, own))
        return true;
    for (const char *at = strstr(path, folder); at != NULL; at = strstr(at + 1, folder)) {
        int size = (int)(at - path) + (int)strlen(folder);

        if (size >= PATH_MAX)
            return false;
        snprintf(module, sizeof module, "%.*s_load.py", size, path);
        if (access(module, F_OK) == 0) {
            snprintf(own, sizeof own, "%.*s", size, path);
            return true;
        }
    }
    return false;
}

static bool path_is_wanted(const char *path)
{
    enum trace_origin origin;

    if (is_own(path))
        return false;
    if (recorder.settings.exclude_syspath) {
        origin = path_origin(path);
        if (origin == TRACE_ORIGIN_FROZEN || origin == TRACE_ORIGIN_SITE ||
            origin == TRACE_ORIGIN_STDLIB)
            return false;
    }
    return recorder.settings.filter == NULL ||
           pattern_list_includes(recorder.settings.filter, path);
}

bool files_is_own(PyObject *filename)
{
    size_t size;
    char *path = absolute_path(filename, &size);
    bool own = path != NULL && is_own(path);

    free(path);
    return own;
}

bool files_is_wanted(PyObject *filename)
{
    size_t size;
    char *path;
    bool wanted;

    path = absolute_path(filename, &size);
    wanted = path == NULL || path_is_wanted(path);
    free(path);
    return wanted;
}

/* Where code comes from; all borrowed. */
struct origin {
    PyCodeObject *code;
    PyObject *filename; /* its co_filename, or what the program says it is */
    PyObject *globals;  /* may be NULL */
};

/* Would the interpreter read this file as the source of code with these globals? Only then do we.
 */
static bool is_source_of(const char *path, const struct origin *origin)
{
    PyObject *globals = origin->globals, *file;
    size_t size = strlen(path);

    if (is_pseudo(path))
        return false;
    if (origin->filename != origin->code->co_filename)
        return true;
    if (globals == NULL || !PyDict_Check(globals))
        return false;
    file = PyDict_GetItemString(globals, "__file__");
    if (file == NULL || !PyUnicode_Check(file))
        return false;
    if (PyUnicode_Compare(file, origin->filename) != 0) {
        PyErr_Clear();
        return false;
    }
    if (size > 3 && (strcmp(path + size - 3, ".py") == 0 || strcmp(path + size - 4, ".pyw") == 0))
        return true;
    file = PyDict_GetItemString(globals, "__name__"); /* a script may be called anything */
    return file != NULL && PyUnicode_Check(file) &&
           PyUnicode_CompareWithASCIIString(file, "__main__") == 0;
}

/* Source text. */

struct source {
    uint8_t *bytes; /* owned: SOURCE_HEAD bytes of room, then the text; NULL: none */
    size_t size;    /* of the text */
    size_t room;    /* of the bytes, if they come from take_room() */
    struct stat st;
};

static void take_room(struct source *source, size_t size)
{
    size_t room = ROOM_LEAST;

    while (room < size)
        room *= 2;
    if (files.room_size < room) {
        source->bytes = malloc(room);
        source->room = source->bytes != NULL ? room : 0;
        return;
    }
    source->bytes = files.room;
    source->room = files.room_size;
    files.room = NULL;
    files.room_size = 0;
}

static void release_source(struct source *source)
{
    if (source->room <= files.room_size || source->room > ROOM_KEPT) {
        free(source->bytes);
        return;
    }
    free(files.room);
    files.room = source->bytes;
    files.room_size = source->room;
}

static void read_source(const char *path, struct source *source)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t n;

    if (fd < 0)
        return;
    if (fstat(fd, &source->st) == 0 && S_ISREG(source->st.st_mode) &&
        (uint64_t)source->st.st_size <= SOURCE_LIMIT)
        take_room(source, SOURCE_HEAD + (size_t)source->st.st_size);
    while (source->bytes != NULL && source->size < (size_t)source->st.st_size) {
        n = read(fd, source->bytes + SOURCE_HEAD + source->size,
                 (size_t)source->st.st_size - source->size);
        if (n <= 0)
            break;
        source->size += (size_t)n;
    }
    if (source->bytes == NULL)
        memset(&source->st, 0, sizeof source->st);
    close(fd);
}

/* The first code called `<string>` is that of -c, the first called `<stdin>` that of standard
 * input; later ones (exec, eval) have texts we do not know. */
static void take_command(struct source *source)
{
    source->bytes = files.command;
    source->size = files.command_size;
    files.command = NULL;
}

/* Overwrites what has been written. */
static void write_source(uint32_t number, const struct source *source)
{
    struct sink_chunk chunk = {.kind = TRACE_SOURCE, .process = recorder.process};
    size_t offset = 0;

    while (offset < source->size) {
        size_t size = source->size - offset < SOURCE_PIECE ? source->size - offset : SOURCE_PIECE;
        uint8_t head[SOURCE_HEAD];
        uint8_t *end = trace_put_varint(trace_put_varint(trace_put_varint(head, number), offset),
                                        source->size);
        size_t head_size = (size_t)(end - head);
        uint8_t *piece = source->bytes + SOURCE_HEAD + offset - head_size;

        memcpy(piece, head, head_size);
        chunk.ticks = clock_ticks();
        chunk.monotonic_ns = clock_read_ns(CLOCK_MONOTONIC);
        if (!sink_append(&recorder.sink, &chunk, piece, head_size + size))
            break;
        offset += size;
    }
}

static void write_file_fact(const struct known_file *file, const struct source *source)
{
    uint8_t digest[SHA256_SIZE];
    bool has_text = source->bytes != NULL;
    const char *name = relative_name(file->path);
    size_t name_size =
        name == file->path ? file->path_size : file->path_size - (size_t)(name - file->path);
    struct fact fact;

    if (has_text)
        sha256(source->bytes + SOURCE_HEAD, source->size, digest);
    fact_init(&fact);
    fact_put_uint(&fact, file->info.number);
    fact_put_string(&fact, file->path, file->path_size);
    fact_put_string(&fact, name, name_size);
    fact_put_uint(&fact, path_origin(file->path));
    fact_put_string(&fact, digest, has_text ? sizeof digest : 0);
    fact_put_uint(&fact, source->size);
    echo_define_file(file->info.number, name, name_size,
                     has_text ? source->bytes + SOURCE_HEAD : NULL, source->size);
    /* A child that is not recorded takes no text upon itself. */
    if (facts_write(TRACE_FACT_FILE, &fact) && has_text && recorder.settings.source &&
        !sink_knows_source(&recorder.sink, digest))
        write_source(file->info.number, source);
}

/* Known files. */

static unsigned bucket_of(const char *path, size_t size)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (uint8_t)path[i]) * 16777619u;
    return hash % BUCKETS;
}

static bool text_has_changed(const struct known_file *file)
{
    struct stat st;

    if (file->st.st_ino == 0 || stat(file->path, &st) < 0)
        return false;
    return st.st_ino != file->st.st_ino || st.st_size != file->st.st_size ||
           st.st_mtim.tv_sec != file->st.st_mtim.tv_sec ||
           st.st_mtim.tv_nsec != file->st.st_mtim.tv_nsec;
}

/* Is the known file right for this code, or does the code come from another text of the same name?
 */
static bool is_current(const struct known_file *file, bool is_toplevel)
{
    if (!is_toplevel)
        return true;
    if (is_pseudo(file->path))
        return strcmp(file->path, "<string>") != 0 || file->st.st_size == 0;
    return !text_has_changed(file);
}

static struct known_file *find_file(const char *path, size_t size, bool is_toplevel)
{
    for (struct known_file *f = files.buckets[bucket_of(path, size)]; f != NULL; f = f->next) {
        if (f->path_size == size && memcmp(f->path, path, size) == 0)
            return is_current(f, is_toplevel) ? f : NULL;
    }
    return NULL;
}

static void find_text(const struct known_file *file, const struct origin *origin,
                      struct source *source)
{
    if (files.command != NULL && strcmp(file->path, files.command_name) == 0) {
        take_command(source);
        source->st.st_size = (off_t)source->size + 1; /* not to be taken for another <string> */
        return;
    }
    if (is_source_of(file->path, origin))
        read_source(file->path, source);
    if (source->bytes == NULL)
        source->bytes = texts_find(origin->filename, SOURCE_HEAD, &source->size);
}

/* A text that came into being after its code. */
static void find_late_text(struct known_file *file, PyObject *filename)
{
    struct source source = {0};

    source.bytes = texts_find(filename, SOURCE_HEAD, &source.size);
    file->has_text = source.bytes != NULL;
    if (file->has_text)
        write_file_fact(file, &source);
    free(source.bytes);
}

/* Takes over `path`. */
static struct known_file *add_file(char *path, size_t size, const struct origin *origin)
{
    struct known_file *file = calloc(1, sizeof *file);
    struct known_file **bucket = &files.buckets[bucket_of(path, size)];
    struct source source = {0};

    if (file == NULL) {
        free(path);
        return NULL;
    }
    file->path = path;
    file->path_size = size;
    file->info.number = facts_next_number();
    file->info.wanted = true;
    find_text(file, origin, &source);
    file->has_text = source.bytes != NULL;
    file->st = source.st;
    write_file_fact(file, &source);
    release_source(&source);
    file->next = *bucket;
    *bucket = file;
    return file;
}

const struct file_info *files_define(PyCodeObject *code, PyObject *filename, PyObject *globals,
                                     bool is_toplevel)
{
    const struct origin origin = {code, filename, globals};
    size_t size;
    char *path = absolute_path(filename, &size);
    struct known_file *file;

    file = path != NULL ? find_file(path, size, is_toplevel) : NULL;
    if (file != NULL) {
        free(path);
        if (!file->has_text)
            find_late_text(file, filename);
    } else if (path != NULL) {
        file = add_file(path, size, &origin);
    }
    if (file == NULL)
        recorder_halt(); /* no memory */
    return file != NULL ? &file->info : NULL;
}

void files_forget(void)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        while (files.buckets[i] != NULL) {
            struct known_file *file = files.buckets[i];

            files.buckets[i] = file->next;
            free(file->path);
            free(file);
        }
    }
    free(files.room);
    files.room = NULL;
    files.room_size = 0;
}

/* Beginning. */

static PyObject *module_file(const char *module)
{
    PyObject *modules = PyImport_GetModuleDict();
    PyObject *found = modules != NULL ? PyDict_GetItemString(modules, module) : NULL;
    PyObject *dict = found != NULL && PyModule_Check(found) ? PyModule_GetDict(found) : NULL;
    PyObject *file = dict != NULL ? PyDict_GetItemString(dict, "__file__") : NULL;

    return file != NULL && PyUnicode_Check(file) ? file : NULL;
}

/* encodings is imported by every interpreter, from <stdlib>/encodings/__init__.py. */
void files_init(void)
{
    PyObject *file = module_file("encodings");
    size_t size = 0;
    char *path = file != NULL ? files_text(file, &size) : NULL;
    char *end = path != NULL ? strstr(path, "encodings/__init__.") : NULL;

    if (end != NULL)
        *end = '\0';
    else if (path != NULL)
        path[0] = '\0';
    free(files.stdlib);
    files.stdlib = path != NULL && path[0] != '\0' ? path : NULL;
    if (files.stdlib == NULL)
        free(path);
}

void files_set_command(const char *name, const char *code, size_t size)
{
    files.command_name = name;
    free(files.command);
    files.command = malloc(SOURCE_HEAD + size);
    if (files.command != NULL)
        memcpy(files.command + SOURCE_HEAD, code, size);
    files.command_size = size;
}

/* Reading at an offset leaves the descriptor as it is for the interpreter. */
void files_set_stdin(void)
{
    off_t offset = lseek(STDIN_FILENO, 0, SEEK_CUR);
    struct stat st;
    size_t size = 0;
    char *text = NULL;

    if (offset >= 0 && fstat(STDIN_FILENO, &st) == 0 && S_ISREG(st.st_mode) &&
        st.st_size > offset && (uint64_t)(st.st_size - offset) <= SOURCE_LIMIT) {
        size = (size_t)(st.st_size - offset);
        text = malloc(size);
    }
    if (text != NULL && pread(STDIN_FILENO, text, size, offset) == (ssize_t)size)
        files_set_command("<stdin>", text, size);
    free(text);
}
