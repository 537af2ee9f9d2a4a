#include "formats/archive_names.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "formats/catalog.h"
#include "formats/error.h"
#include "formats/text.h"

enum { COMPONENT_MAX = 100, NAME_MAX_BYTES = 200, SUFFIX_ROOM = 16, FEW = 20 };

/* A name or folder that is taken, as its folded spelling. */
struct taken {
    const char *key; /* owned by the pool; NULL: a free slot */
    bool is_folder;
};

struct archive_names {
    const struct catalog *catalog;
    const char **names; /* as catalog->files; NULL: no text */
    struct taken *slots;
    size_t slot_count; /* a power of two */
    size_t used;
    struct pool pool;
};

/* ---- one name ---- */

static bool is_reserved(const char *part, size_t size)
{
    static const char *const devices[] = {"con", "prn", "aux", "nul"};
    size_t stem = 0;

    while (stem < size && part[stem] != '.')
        stem++;
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++)
        if (stem == 3 && strncasecmp(part, devices[i], 3) == 0)
            return true;
    return stem == 4 && (strncasecmp(part, "com", 3) == 0 || strncasecmp(part, "lpt", 3) == 0) &&
           part[3] >= '0' && part[3] <= '9';
}

/* Cuts what was added since `start` to `limit` bytes, between characters, keeping its end (and so
 * its suffix). */
static void keep_end(struct text *text, size_t start, size_t limit)
{
    size_t size = text->size - start;
    size_t from = size <= limit ? 0 : size - limit;

    if (from == 0)
        return;
    while (from < size && ((unsigned char)text->at[start + from] & 0xC0) == 0x80)
        from++;
    memmove(text->at + start, text->at + start + from, size - from);
    text->size -= from;
}

/* One component of a path, made harmless. */
static void add_component(struct text *text, const char *part, size_t size)
{
    size_t start;
    const char *end = part + size;

    if (size == 0 || (size == 1 && part[0] == '.') ||
        (size == 2 && part[0] == '.' && part[1] == '.'))
        return;
    if (text->size > 0)
        text_add_string(text, "/");
    start = text->size;
    if (is_reserved(part, size))
        text_add_string(text, "_");
    while (part < end) {
        const char *at = part;
        uint32_t c = text_next(&part, end);

        if (!text_is_printable(c) || (c < 0x80 && strchr("\\:*?\"<>|;", (int)c) != NULL))
            text_add_string(text, "_");
        else
            text_add(text, at, (size_t)(part - at));
    }
    /* Windows drops dots and spaces at the end, and "-" would be an option to a careless command.
     */
    if (!text->failed && (text->at[text->size - 1] == '.' || text->at[text->size - 1] == ' '))
        text->at[text->size - 1] = '_';
    if (!text->failed && text->at[start] == '-')
        text->at[start] = '_';
    if (!text->failed)
        keep_end(text, start, COMPONENT_MAX);
}

static void add_path(struct text *text, const char *path)
{
    while (*path != '\0') {
        size_t size = strcspn(path, "/");

        add_component(text, path, size);
        path += size;
        path += *path == '/';
    }
}

/* Drops folders at the front until the name is short enough. */
static void shorten(struct text *text)
{
    size_t from = 0;

    while (text->size - from > NAME_MAX_BYTES - SUFFIX_ROOM) {
        const char *slash = memchr(text->at + from, '/', text->size - from);

        if (slash == NULL)
            break;
        from = (size_t)(slash - text->at) + 1;
    }
    memmove(text->at, text->at + from, text->size - from);
    text->size -= from;
}

static void add_name(struct text *text, const struct catalog_file *file)
{
    bool below = file->path[0] != '/' && file->path[0] != '<';

    text_clear(text);
    if (!below)
        text_add_string(text, file->origin == CATALOG_STDLIB ? "_stdlib"
                              : file->origin == CATALOG_SITE ? "_site"
                                                             : "_other");
    add_path(text, below || (file->origin != CATALOG_STDLIB && file->origin != CATALOG_SITE)
                       ? file->path
                       : file->name);
    if (text->size == 0)
        text_add_string(text, "_");
    if (!text->failed)
        shorten(text);
}

/* ---- no two alike ---- */

/* The spelling under which names that differ only in case are the same: ASCII, Latin-1, Greek and
 * Cyrillic. */
static uint32_t fold(uint32_t c)
{
    if ((c >= 'A' && c <= 'Z') || (c >= 0xC0 && c <= 0xDE && c != 0xD7) ||
        (c >= 0x391 && c <= 0x3A9) || (c >= 0x410 && c <= 0x42F))
        return c + 32;
    if (c >= 0x400 && c <= 0x40F)
        return c + 80;
    return (c >= 0x100 && c <= 0x17F) || (c >= 0x460 && c <= 0x4FF) ? c | 1 : c;
}

static void add_folded(struct text *key, const char *name, size_t size)
{
    const char *end = name + size;

    text_clear(key);
    while (name < end)
        text_add_character(key, fold(text_next(&name, end)));
}

static struct taken *find_slot(const struct archive_names *names, const char *key)
{
    uint64_t hash = 14695981039346656037u;

    for (const char *p = key; *p != '\0'; p++)
        hash = (hash ^ (unsigned char)*p) * 1099511628211u;
    for (size_t i = hash & (names->slot_count - 1);; i = (i + 1) & (names->slot_count - 1)) {
        struct taken *slot = &names->slots[i];

        if (slot->key == NULL || strcmp(slot->key, key) == 0)
            return slot;
    }
}

static int grow(struct archive_names *names)
{
    struct taken *old = names->slots;
    size_t old_count = names->slot_count;

    if (names->slots != NULL && names->used < names->slot_count / 2)
        return 0;
    names->slot_count = old_count == 0 ? 256 : old_count * 2;
    names->slots = calloc(names->slot_count, sizeof *names->slots);
    if (names->slots == NULL) {
        free(old);
        return -1;
    }
    for (size_t i = 0; i < old_count; i++)
        if (old[i].key != NULL)
            *find_slot(names, old[i].key) = old[i];
    free(old);
    return 0;
}

static int take(struct archive_names *names, struct text *key, bool is_folder)
{
    struct taken *slot;

    if (key->failed || grow(names) < 0)
        return -1;
    slot = find_slot(names, text_string(key));
    if (slot->key != NULL)
        return 0;
    slot->key = pool_string(&names->pool, key->at, key->size);
    slot->is_folder = is_folder;
    names->used++;
    return slot->key == NULL ? -1 : 0;
}

/* Is the name free, and is none of its folders a file? */
static bool is_free(const struct archive_names *names, const char *name, size_t size,
                    struct text *key)
{
    for (size_t i = 0; i < size; i++) {
        if (name[i] != '/')
            continue;
        add_folded(key, name, i);
        if (find_slot(names, text_string(key))->key != NULL &&
            !find_slot(names, text_string(key))->is_folder)
            return false;
    }
    add_folded(key, name, size);
    return find_slot(names, text_string(key))->key == NULL;
}

static int take_name(struct archive_names *names, const char *name, size_t size, struct text *key)
{
    for (size_t i = 0; i < size; i++) {
        if (name[i] != '/')
            continue;
        add_folded(key, name, i);
        if (take(names, key, true) < 0)
            return -1;
    }
    add_folded(key, name, size);
    return take(names, key, false);
}

/* "a/b.py" as "a/b~2.py". */
static void add_numbered(struct text *text, const char *name, size_t size, unsigned number)
{
    size_t dot = size;

    for (size_t i = size; i > 0 && name[i - 1] != '/'; i--) {
        if (name[i - 1] == '.' && i > 1 && name[i - 2] != '/') {
            dot = i - 1;
            break;
        }
    }
    text_clear(text);
    text_add(text, name, dot);
    text_add_format(text, "~%u", number);
    text_add(text, name + dot, size - dot);
}

/* Where a folder of the name is another file's name, no number at the end helps: the folder is
 * renamed. */
static const char *settle(struct archive_names *names, const struct text *wanted, unsigned index,
                          struct text *trial, struct text *key)
{
    const char *result;
    unsigned number = 1;

    text_clear(trial);
    text_add(trial, wanted->at, wanted->size);
    while (!trial->failed && !is_free(names, trial->at, trial->size, key)) {
        number += number == FEW ? index : 1; /* thousands of one name must not cost their square */
        add_numbered(trial, wanted->at, wanted->size, number);
        if (number % 2 == 1) {
            struct text moved = {0};

            text_add_format(&moved, "_%u/", number);
            text_add(&moved, wanted->at, wanted->size);
            text_clear(trial);
            text_add(trial, moved.at, moved.size);
            trial->failed |= moved.failed;
            text_fini(&moved);
        }
    }
    if (trial->failed || key->failed)
        return NULL;
    result = pool_string(&names->pool, trial->at, trial->size);
    return result == NULL || take_name(names, trial->at, trial->size, key) < 0 ? NULL : result;
}

/* ---- all names ---- */

static int by_path(const void *a, const void *b)
{
    const struct catalog_file *left = *(const struct catalog_file *const *)a;
    const struct catalog_file *right = *(const struct catalog_file *const *)b;
    int order = strcmp(left->raw_path, right->raw_path);

    return order != 0 ? order : (left->id > right->id) - (left->id < right->id);
}

static int name_all(struct archive_names *names, const struct catalog_file **sorted, size_t count)
{
    struct text wanted = {0}, trial = {0}, key = {0};
    int status = grow(names);

    for (size_t i = 0; status == 0 && i < count; i++) {
        const char *name;

        add_name(&wanted, sorted[i]);
        name = wanted.failed ? NULL : settle(names, &wanted, (unsigned)i + 1, &trial, &key);
        names->names[sorted[i] - names->catalog->files] = name;
        status = name == NULL ? -1 : 0;
    }
    text_fini(&wanted);
    text_fini(&trial);
    text_fini(&key);
    return status;
}

struct archive_names *archive_names_new(const struct catalog *catalog, struct error *err)
{
    struct archive_names *names = calloc(1, sizeof *names);
    const struct catalog_file **sorted =
        calloc(catalog->file_count + 1, sizeof(struct catalog_file *));
    size_t count = 0;
    int status = -1;

    if (names == NULL || sorted == NULL)
        goto done;
    names->catalog = catalog;
    names->names = calloc(catalog->file_count + 1, sizeof *names->names);
    if (names->names == NULL)
        goto done;
    for (size_t i = 0; i < catalog->file_count; i++)
        if (catalog->files[i].has_source)
            sorted[count++] = &catalog->files[i];
    qsort(sorted, count, sizeof(struct catalog_file *), by_path);
    status = name_all(names, sorted, count);

done:
    free(sorted);
    if (status < 0) {
        error_set(err, "out of memory");
        archive_names_free(names);
        return NULL;
    }
    return names;
}

void archive_names_free(struct archive_names *names)
{
    if (names == NULL)
        return;
    free(names->names);
    free(names->slots);
    pool_fini(&names->pool);
    free(names);
}

const char *archive_names_find(const struct archive_names *names, int64_t file_id)
{
    const struct catalog_file *file = catalog_file(names->catalog, file_id);

    return file == NULL ? NULL : names->names[file - names->catalog->files];
}
