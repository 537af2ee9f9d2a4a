/* The executable lines of a code object, read from its line table.
 *
 * CPython has changed the table's format twice: Objects/lnotab_notes.txt (3.9 and 3.10) and
 * Objects/locations.md (from 3.11) in its sources describe them. */
#include "recorder/codes.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Kept from one code object to the next: the GIL guards it. */
static struct line_list {
    int *lines; /* owned; ascending, without duplicates */
    size_t count, capacity;
    int latest; /* the line added last */
} list;

static bool make_room(void)
{
    size_t capacity = list.capacity != 0 ? 2 * list.capacity : 256;
    int *lines;

    if (list.count < list.capacity)
        return true;
    lines = realloc(list.lines, capacity * sizeof *lines);
    if (lines == NULL)
        return false;
    list.lines = lines;
    list.capacity = capacity;
    return true;
}

/* The first place whose line is not below `line`. */
static size_t find_place(int line)
{
    size_t low = 0, high = list.count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (list.lines[middle] < line)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Tables mostly ascend; where they go back, it is nearly always to a line that was there before.
 * Without memory lines are left out. */
static void insert_line(int line)
{
    size_t place = list.count;

    if (place > 0 && list.lines[place - 1] >= line)
        place = find_place(line);
    if ((place < list.count && list.lines[place] == line) || !make_room())
        return;
    memmove(list.lines + place + 1, list.lines + place, (list.count - place) * sizeof *list.lines);
    list.lines[place] = line;
    list.count++;
}

static inline void add_line(int line)
{
    if (line == list.latest || line <= 0)
        return;
    list.latest = line;
    insert_line(line);
}

/* A line counts if one of its instructions lies behind the code's prologue. */

#if defined PYCOMPAT_LINES_LOCATIONS

/* Entries begin with a byte that has its top bit set: kind in bits 3 to 6, instruction units less
 * one in bits 0 to 2. Kinds 0 to 12 are of fixed size; 13 and 14 have a signed step and bytes
 * without a top bit; 15 has no line. */
static const struct {
    signed char lines, size;
} fixed_kinds[13] = {{0, 2}, {0, 2}, {0, 2}, {0, 2}, {0, 2}, {0, 2}, {0, 2},
                     {0, 2}, {0, 2}, {0, 2}, {0, 3}, {1, 3}, {2, 3}};

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

static const unsigned char *next_entry(const unsigned char *at, const unsigned char *end)
{
    while (at < end && (*at & 0x80) == 0)
        at++;
    return at;
}

/* Goes on to the next entry. False: this one has no line. */
static inline bool read_entry(const unsigned char **at, const unsigned char *end, int *line)
{
    unsigned kind = **at >> 3 & 15;

    if (kind < 13) {
        *line += fixed_kinds[kind].lines;
        *at += fixed_kinds[kind].size;
        return true;
    }
    if (kind < 15)
        *line += signed_step(*at + 1, end);
    *at = next_entry(*at + 1, end);
    return kind < 15;
}

static void read_table(const unsigned char *at, const unsigned char *end, int first_line,
                       int prologue)
{
    int line = first_line, offset = 0;

    while (at < end && offset <= prologue) {
        offset += ((*at & 7) + 1) * (int)sizeof(_Py_CODEUNIT);
        if (read_entry(&at, end, &line) && offset > prologue)
            add_line(line);
    }
    while (at < end) {
        if (read_entry(&at, end, &line))
            add_line(line);
    }
}

int codes_line_at(const unsigned char *table, size_t size, int first_line, int offset)
{
    const unsigned char *at = table, *end = table + size;
    int line = first_line, from = 0;

    while (at < end) {
        unsigned kind = *at >> 3 & 15;
        int units = (*at & 7) + 1;

        at++;
        if (kind >= 10 && kind <= 12)
            line += (int)kind - 10;
        else if (kind == 13 || kind == 14)
            line += signed_step(at, end);
        from += units * (int)sizeof(_Py_CODEUNIT);
        if (offset < from)
            return kind != 15 ? line : 0;
        while (at < end && (*at & 0x80) == 0)
            at++;
    }
    return 0;
}

#elif defined PYCOMPAT_LINES_PAIRS

int codes_line_at(const unsigned char *table, size_t size, int first_line, int offset)
{
    int line = first_line, from = 0;

    for (size_t i = 0; i + 1 < size; i += 2) {
        int step = (signed char)table[i + 1];

        from += table[i];
        if (step != -128)
            line += step;
        if (offset < from)
            return step != -128 ? line : 0;
    }
    return 0;
}

/* Pairs of bytes: how long, and (signed) how many lines on it is; -128: this stretch has no line.
 */
static void read_table(const unsigned char *at, const unsigned char *end, int first_line,
                       int prologue)
{
    int line = first_line, offset = 0;

    for (; at + 1 < end; at += 2) {
        int step = (signed char)at[1];

        offset += at[0];
        if (step == -128)
            continue;
        line += step;
        if (at[0] != 0 && offset > prologue)
            add_line(line);
    }
}

#else

int codes_line_at(const unsigned char *table, size_t size, int first_line, int offset)
{
    int line = first_line, from = 0;

    for (size_t i = 0; i + 1 < size; i += 2) {
        from += table[i];
        if (offset < from)
            break;
        line += (signed char)table[i + 1];
    }
    return line;
}

/* Pairs of bytes: after how many bytes of code (signed) how many lines are added. */
static void read_table(const unsigned char *at, const unsigned char *end, int first_line,
                       int prologue)
{
    int line = first_line;

    (void)prologue;
    for (; at + 1 < end; at += 2) {
        if (at[0] != 0)
            add_line(line);
        line += (signed char)at[1];
    }
    add_line(line);
}

#endif

const int *codes_lines(PyCodeObject *code, size_t *count)
{
    PyObject *table = pycompat_code_line_table(code);
    const unsigned char *bytes;

    list.count = 0;
    list.latest = 0;
    if (table != NULL && PyBytes_Check(table)) {
        bytes = (const unsigned char *)PyBytes_AS_STRING(table);
        read_table(bytes, bytes + PyBytes_GET_SIZE(table), code->co_firstlineno,
                   pycompat_code_prologue(code));
    }
    *count = list.count;
    return list.lines;
}
