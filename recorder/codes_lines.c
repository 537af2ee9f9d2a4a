/* The executable lines of a code object, read from its line table.
 *
 * CPython has changed the table's format twice: Objects/lnotab_notes.txt (3.9 and 3.10) and
 * Objects/locations.md (from 3.11) in its sources describe them. */
#include "recorder/codes.h"

#include <stdlib.h>

struct line_list {
    int *lines; /* owned */
    size_t count, capacity;
    bool failed;
};

static void add_line(struct line_list *list, int line)
{
    if (list->failed || line <= 0 || (list->count > 0 && list->lines[list->count - 1] == line))
        return;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity != 0 ? 2 * list->capacity : 16;
        int *lines = realloc(list->lines, capacity * sizeof *lines);

        if (lines == NULL) {
            list->failed = true;
            return;
        }
        list->lines = lines;
        list->capacity = capacity;
    }
    list->lines[list->count++] = line;
}

#ifndef PYCOMPAT_LINES_LNOTAB

/* A line counts if one of its instructions lies behind the code's prologue. */
static void add_range(struct line_list *list, int line, int end, int prologue)
{
    if (end > prologue)
        add_line(list, line);
}

#endif

#if defined PYCOMPAT_LINES_LOCATIONS

/* Entries begin with a byte that has its top bit set: kind in bits 3 to 6, instruction units less
 * one in bits 0 to 2. Kinds: 0-9 the same line; 10-12 that many less 10 lines on; 13, 14 a signed
 * step; 15 no line. */
static int signed_step(const unsigned char *at, const unsigned char *end)
{
    unsigned value = 0, shift = 0;

    while (at < end) {
        value |= (*at & 0x3fu) << shift;
        shift += 6;
        if ((*at++ & 0x40) == 0 || shift > 24)
            break;
    }
    return value & 1 ? -(int)(value >> 1) : (int)(value >> 1);
}

static void read_table(const unsigned char *at, const unsigned char *end, int first_line,
                       int prologue, struct line_list *list)
{
    int line = first_line, offset = 0;

    while (at < end) {
        unsigned kind = *at >> 3 & 15;
        int units = (*at & 7) + 1;

        at++;
        if (kind >= 10 && kind <= 12)
            line += (int)kind - 10;
        else if (kind == 13 || kind == 14)
            line += signed_step(at, end);
        offset += units * (int)sizeof(_Py_CODEUNIT);
        if (kind != 15)
            add_range(list, line, offset, prologue);
        while (at < end && (*at & 0x80) == 0)
            at++;
    }
}

#elif defined PYCOMPAT_LINES_PAIRS

/* Pairs of bytes: how long, and (signed) how many lines on it is; -128: this stretch has no line.
 */
static void read_table(const unsigned char *at, const unsigned char *end, int first_line,
                       int prologue, struct line_list *list)
{
    int line = first_line, offset = 0;

    for (; at + 1 < end; at += 2) {
        int step = (signed char)at[1];

        offset += at[0];
        if (step == -128)
            continue;
        line += step;
        if (at[0] != 0)
            add_range(list, line, offset, prologue);
    }
}

#else

/* Pairs of bytes: after how many bytes of code (signed) how many lines are added. */
static void read_table(const unsigned char *at, const unsigned char *end, int first_line,
                       int prologue, struct line_list *list)
{
    int line = first_line;

    (void)prologue;
    for (; at + 1 < end; at += 2) {
        if (at[0] != 0)
            add_line(list, line);
        line += (signed char)at[1];
    }
    add_line(list, line);
}

#endif

static int compare_lines(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;

    return (x > y) - (x < y);
}

int *codes_lines(PyCodeObject *code, size_t *count)
{
    PyObject *table = pycompat_code_line_table(code);
    struct line_list list = {0};
    const unsigned char *bytes;
    size_t unique = 0;

    *count = 0;
    if (table == NULL || !PyBytes_Check(table))
        return NULL;
    bytes = (const unsigned char *)PyBytes_AS_STRING(table);
    read_table(bytes, bytes + PyBytes_GET_SIZE(table), code->co_firstlineno,
               pycompat_code_prologue(code), &list);
    if (list.failed || list.count == 0) {
        free(list.lines);
        return NULL;
    }
    qsort(list.lines, list.count, sizeof *list.lines, compare_lines);
    for (size_t i = 0; i < list.count; i++) {
        if (unique == 0 || list.lines[unique - 1] != list.lines[i])
            list.lines[unique++] = list.lines[i];
    }
    *count = unique;
    return list.lines;
}
