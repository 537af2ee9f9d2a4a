/* The executable lines of a code object, read from its line table.
 *
 * CPython has changed the table's format twice: Objects/lnotab_notes.txt (3.9 and 3.10) and
 * Objects/locations.md (from 3.11) in its sources describe them. */
#include "recorder/codes.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* What is kept from one code object to the next is guarded by the GIL. */

/* The lines from the code's first one on, a bit each: tables go forth and back. */
#define SET_WORDS 1024u
#define SET_LINES (64 * SET_WORDS)

static struct line_set {
    uint64_t words[SET_WORDS]; /* all zero between two code objects */
    uint32_t base;             /* the line of the first bit */
    uint32_t used;             /* words that may have bits */
} set;

/* First the lines that have no place in the set; in the end all. */
static struct line_list {
    int *lines; /* owned; ascending, without duplicates */
    size_t count, capacity;
} list;

static bool make_room(size_t more)
{
    size_t capacity = list.capacity != 0 ? list.capacity : 256;
    int *lines;

    if (list.count + more <= list.capacity)
        return true;
    while (capacity < list.count + more)
        capacity *= 2;
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

/* Without memory lines are left out. */
static void insert_line(int line)
{
    size_t place = find_place(line);

    if ((place < list.count && list.lines[place] == line) || !make_room(1))
        return;
    memmove(list.lines + place + 1, list.lines + place, (list.count - place) * sizeof *list.lines);
    list.lines[place] = line;
    list.count++;
}

static inline void add_line(int line)
{
    uint32_t place = (uint32_t)line - set.base;

    if (__builtin_expect(place < SET_LINES, 1)) {
        set.words[place / 64] |= UINT64_C(1) << place % 64;
        if (place / 64 >= set.used)
            set.used = place / 64 + 1;
    } else if (line > 0) {
        insert_line(line);
    }
}

/* Tables that the program made may lead anywhere. */
static inline int step_line(int line, int step)
{
    return (int)((uint32_t)line + (uint32_t)step);
}

/* Empties the set into the list, between the lines before and behind it. */
static void collect_lines(void)
{
    size_t place = find_place((int)set.base), count = 0;
    int *at;

    for (uint32_t i = 0; i < set.used; i++)
        count += (size_t)__builtin_popcountll(set.words[i]);
    if (make_room(count)) {
        at = list.lines + place;
        memmove(at + count, at, (list.count - place) * sizeof *at);
        list.count += count;
        for (uint32_t i = 0; i < set.used; i++) {
            for (uint64_t bits = set.words[i]; bits != 0; bits &= bits - 1)
                *at++ = (int)(set.base + 64 * i + (uint32_t)__builtin_ctzll(bits));
        }
    }
    memset(set.words, 0, set.used * sizeof *set.words);
    set.used = 0;
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
static bool read_entry(const unsigned char **at, const unsigned char *end, int *line)
{
    unsigned kind = **at >> 3 & 15;

    if (kind < 13) {
        *line = step_line(*line, fixed_kinds[kind].lines);
        *at += fixed_kinds[kind].size;
        return true;
    }
    if (kind < 15)
        *line = step_line(*line, signed_step(*at + 1, end));
    *at = next_entry(*at + 1, end);
    return kind < 15;
}

/* Eight bytes of the table, zeros behind its end. */
static inline uint64_t load_bytes(const unsigned char *at, const unsigned char *end)
{
    uint64_t bytes = 0;

    if (end - at >= (ptrdiff_t)sizeof bytes)
        memcpy(&bytes, at, sizeof bytes);
    else
        memcpy(&bytes, at, (size_t)(end - at));
    return bytes;
}

/* The top bit of each byte that begins an entry of a kind from 11 on: the others, most of them,
 * stay on their line. */
static inline uint64_t find_steps(uint64_t bytes)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);

    return ((bytes & 0x7f * ones) + (0x80 - (11 << 3)) * ones) & bytes & 0x80 * ones;
}

/* All the lines behind an entry whose `line` has been added. */
static void read_steps(const unsigned char *at, const unsigned char *end, int line)
{
    for (; at < end; at += 8) {
        for (uint64_t found = find_steps(load_bytes(at, end)); found != 0; found &= found - 1) {
            const unsigned char *entry = at + __builtin_ctzll(found) / 8;
            unsigned kind = *entry >> 3 & 15;

            if (kind == 15)
                continue;
            line = step_line(line, kind < 13 ? (int)kind - 10 : signed_step(entry + 1, end));
            add_line(line);
        }
    }
}

static void read_table(const unsigned char *at, const unsigned char *end, int first_line,
                       int prologue)
{
    int line = first_line, offset = 0;
    bool has_line = false;

    while (at < end && !(has_line && offset > prologue)) {
        offset += ((*at & 7) + 1) * (int)sizeof(_Py_CODEUNIT);
        has_line = read_entry(&at, end, &line);
    }
    if (has_line && offset > prologue)
        add_line(line);
    read_steps(at, end, line);
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
            line = step_line(line, (int)kind - 10);
        else if (kind == 13 || kind == 14)
            line = step_line(line, signed_step(at, end));
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
            line = step_line(line, step);
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
        line = step_line(line, step);
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
        line = step_line(line, (signed char)table[i + 1]);
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
        line = step_line(line, (signed char)at[1]);
    }
    add_line(line);
}

#endif

const int *codes_lines(PyCodeObject *code, size_t *count)
{
    PyObject *table = pycompat_code_line_table(code);
    const unsigned char *bytes;

    list.count = 0;
    set.base = code->co_firstlineno > 0 ? (uint32_t)code->co_firstlineno : 1;
    if (table != NULL && PyBytes_Check(table)) {
        bytes = (const unsigned char *)PyBytes_AS_STRING(table);
        read_table(bytes, bytes + PyBytes_GET_SIZE(table), code->co_firstlineno,
                   pycompat_code_prologue(code));
    }
    collect_lines();
    *count = list.count;
    return list.lines;
}
