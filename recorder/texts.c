#include "recorder/texts.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "recorder/attribute.h"
#include "recorder/files.h"
#include "recorder/recorder.h"
#include "recorder/replaced.h"

#define TEXT_LIMIT (64u << 20)

bool texts_hold_gil;

struct text {
    uint8_t *bytes; /* owned */
    size_t size, room;
    bool failed;
};

static void append(struct text *text, const void *bytes, size_t size)
{
    uint8_t *grown = text->failed || size > TEXT_LIMIT || text->size + size > TEXT_LIMIT
                         ? NULL
                         : realloc(text->bytes, text->room + text->size + size + 1);

    if (grown == NULL) {
        text->failed = true;
        return;
    }
    text->bytes = grown;
    memcpy(grown + text->room + text->size, bytes, size);
    text->size += size;
}

static void append_str(struct text *text, PyObject *string)
{
    size_t size = 0;
    char *bytes = files_text(string, &size);

    if (bytes != NULL)
        append(text, bytes, size);
    else
        text->failed = true;
    free(bytes);
}

/* linecache. */

/* An entry is (size, mtime, lines, name); one that has not been read yet is shorter. */
static void find_in_linecache(PyObject *filename, struct text *text)
{
    PyObject *cache = replaced_find("linecache", "cache");
    PyObject *entry =
        cache != NULL && PyDict_Check(cache) ? PyDict_GetItemWithError(cache, filename) : NULL;
    PyObject *lines = entry != NULL && PyTuple_Check(entry) && PyTuple_GET_SIZE(entry) == 4
                          ? PyTuple_GET_ITEM(entry, 2)
                          : NULL;

    if (lines == NULL || !PyList_Check(lines))
        return;
    append(text, "", 0);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(lines); i++)
        append_str(text, PyList_GET_ITEM(lines, i));
}

/* doctest. */

/* The number of the example in `<doctest NAME[NUMBER]>`, -1 if `filename` is none of the test
 * NAME. */
static long example_number(const char *filename, PyObject *name)
{
    static const char start[] = "<doctest ";
    size_t size = 0;
    char *test = name != NULL ? files_text(name, &size) : NULL;
    const char *at = filename + strlen(start);
    long number = -1;
    char *end;

    if (test != NULL && strncmp(filename, start, strlen(start)) == 0 &&
        strncmp(at, test, size) == 0 && at[size] == '[') {
        number = strtol(at + size + 1, &end, 10);
        if (end == at + size + 1 || strcmp(end, "]>") != 0)
            number = -1;
    }
    free(test);
    return number;
}

static void append_example(PyObject *test, long number, struct text *text)
{
    PyObject *examples = attribute_plain(test, "examples");
    PyObject *source = NULL;

    if (examples != NULL && PyList_Check(examples) && number < PyList_GET_SIZE(examples))
        source = attribute_plain(PyList_GET_ITEM(examples, number), "source");
    if (source != NULL)
        append_str(text, source);
    Py_XDECREF(source);
    Py_XDECREF(examples);
}

/* While a test runs, the runner's method stands in for linecache.getlines. */
static void find_in_doctest(PyObject *filename, struct text *text)
{
    PyObject *getlines = replaced_find("linecache", "getlines");
    PyObject *test, *name;
    size_t size = 0;
    char *path;
    long number;

    if (getlines == NULL || !PyMethod_Check(getlines))
        return;
    test = attribute_plain(PyMethod_GET_SELF(getlines), "test");
    name = attribute_plain(test, "name");
    path = files_text(filename, &size);
    number = path != NULL ? example_number(path, name) : -1;
    free(path);
    if (number >= 0)
        append_example(test, number, text);
    Py_XDECREF(name);
    Py_XDECREF(test);
}

/* zipimport. */

struct member {
    PyObject *archive; /* borrowed: its path */
    PyObject *entry;   /* borrowed: what zipimport knows of the member */
};

/* The archive that is a folder of `filename`, in zipimport's directories: archive -> name ->
 * entry. */
static bool find_member(PyObject *filename, struct member *member)
{
    PyObject *directories = replaced_find("zipimport", "_zip_directory_cache");
    Py_ssize_t position = 0, length = PyUnicode_GET_LENGTH(filename);
    PyObject *archive, *names, *name;

    if (directories == NULL || !PyDict_Check(directories))
        return false;
    while (PyDict_Next(directories, &position, &archive, &names)) {
        Py_ssize_t start = PyUnicode_Check(archive) ? PyUnicode_GET_LENGTH(archive) + 1 : length;

        if (start >= length || !PyDict_Check(names) ||
            PyUnicode_Tailmatch(filename, archive, 0, length, -1) != 1 ||
            PyUnicode_READ_CHAR(filename, start - 1) != '/')
            continue;
        name = PyUnicode_Substring(filename, start, length);
        member->archive = archive;
        member->entry = name != NULL ? PyDict_GetItemWithError(names, name) : NULL;
        Py_XDECREF(name);
        return member->entry != NULL && PyTuple_Check(member->entry) &&
               PyTuple_GET_SIZE(member->entry) == 8;
    }
    return false;
}

static long long entry_number(const struct member *member, Py_ssize_t field)
{
    long long number = PyLong_AsLongLong(PyTuple_GET_ITEM(member->entry, field));

    PyErr_Clear();
    return number;
}

static int open_archive(const struct member *member)
{
    char path[PATH_MAX];
    size_t size = 0;
    char *name = files_text(member->archive, &size);
    const char *cwd = recorder.cwd != NULL ? recorder.cwd : ".";
    int length = -1;

    if (name != NULL)
        length = snprintf(path, sizeof path, "%s%s%s", name[0] == '/' ? "" : cwd,
                          name[0] == '/' ? "" : "/", name);
    free(name);
    return length > 0 && length < PATH_MAX ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
}

/* The bytes of the member as they are in the archive, behind its local header. NULL: not there. */
static PyObject *read_member(const struct member *member, long long size, long long offset)
{
    uint8_t header[30];
    PyObject *bytes = NULL;
    int fd = open_archive(member);

    if (fd >= 0 && pread(fd, header, sizeof header, offset) == (ssize_t)sizeof header &&
        memcmp(header, "PK\3\4", 4) == 0) {
        offset += (long long)sizeof header + header[26] + header[27] * 256 + header[28] +
                  header[29] * 256;
        bytes = PyBytes_FromStringAndSize(NULL, size);
    }
    if (bytes != NULL && pread(fd, PyBytes_AS_STRING(bytes), (size_t)size, offset) != size)
        Py_CLEAR(bytes);
    if (fd >= 0)
        close(fd);
    return bytes;
}

/* What a compressed member was imported with is there for us, too: a function of C. */
static PyObject *inflate(PyObject *bytes)
{
    PyObject *decompress = replaced_find("zlib", "decompress");
    PyObject *result = NULL;

    if (decompress != NULL && PyCFunction_Check(decompress) && !texts_hold_gil)
        result = PyObject_CallFunction(decompress, "Oi", bytes, -15);
    return result;
}

static void find_in_zip(PyObject *filename, struct text *text)
{
    enum { METHOD = 1, SIZE = 2, FULL_SIZE = 3, OFFSET = 4 };
    struct member member;
    long long size, method;
    PyObject *bytes, *plain;

    if (!find_member(filename, &member))
        return;
    size = entry_number(&member, SIZE);
    method = entry_number(&member, METHOD);
    if (size < 0 || size > TEXT_LIMIT || entry_number(&member, FULL_SIZE) > TEXT_LIMIT)
        return;
    bytes = read_member(&member, size, entry_number(&member, OFFSET));
    plain = bytes == NULL || method != 0 ? NULL : bytes;
    Py_XINCREF(plain);
    if (bytes != NULL && method != 0)
        plain = inflate(bytes);
    if (plain != NULL && PyBytes_Check(plain))
        append(text, PyBytes_AS_STRING(plain), (size_t)PyBytes_GET_SIZE(plain));
    Py_XDECREF(plain);
    Py_XDECREF(bytes);
}

uint8_t *texts_find(PyObject *filename, size_t room, size_t *size)
{
    static void (*const places[])(PyObject *, struct text *) = {find_in_linecache, find_in_doctest,
                                                                find_in_zip};
    struct text text = {.room = room};

    for (size_t i = 0; i < sizeof places / sizeof *places && text.bytes == NULL; i++) {
        if (!text.failed)
            places[i](filename, &text);
    }
    if (text.failed) {
        free(text.bytes);
        return NULL;
    }
    *size = text.size;
    return text.bytes;
}
