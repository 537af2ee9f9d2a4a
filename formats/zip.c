/* zip.c - the recorded sources, under the names that a callgrind file beside them uses.
 *
 * With a callgrind file among them that is the format callgrindzip. The same profile gives the same
 * bytes: names in order, one date (1980, the oldest a zip can say),
 * one mode, one method. libzip writes into memory, so that a zip appears as any other output does,
 * also on a pipe.
 */
#include <stdlib.h>
#include <string.h>

#include <zip.h>

#include "formats/archive_names.h"
#include "formats/catalog.h"
#include "formats/error.h"
#include "formats/format.h"
#include "formats/output.h"
#include "formats/query.h"

enum { DOS_DATE_1980_01_01 = (1 << 5) | 1, COMPRESSION_LEVEL = 6, COPY_SIZE = 1 << 16 };

static const char callgrind_name[] = "cachegrind.out.pprofile"; /* as pprofile names it */

struct entry {
    const char *name; /* borrowed from the archive names */
    int64_t file_id;
    void *bytes; /* owned; libzip reads them when it closes the archive */
    size_t size;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static int zip_failed(zip_t *archive, const char *name, struct error *err)
{
    return error_set(err, "%s: cannot be added to the zip: %s", name, zip_strerror(archive));
}

static int add_bytes(zip_t *archive, const struct entry *entry, struct error *err)
{
    zip_source_t *source = zip_source_buffer(archive, entry->bytes, entry->size, 0);
    zip_int64_t index;

    if (source == NULL)
        return zip_failed(archive, entry->name, err);
    index = zip_file_add(archive, entry->name, source, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
        zip_source_free(source);
        return zip_failed(archive, entry->name, err);
    }
    if (zip_set_file_compression(archive, (zip_uint64_t)index, ZIP_CM_DEFLATE, COMPRESSION_LEVEL) <
            0 ||
        zip_file_set_dostime(archive, (zip_uint64_t)index, 0, DOS_DATE_1980_01_01, 0) < 0 ||
        zip_file_set_external_attributes(archive, (zip_uint64_t)index, 0, ZIP_OPSYS_UNIX,
                                         (zip_uint32_t)0100644 << 16) < 0)
        return zip_failed(archive, entry->name, err);
    return 0;
}

static int load_entry(sqlite3 *db, struct entry *entry, struct error *err)
{
    struct query query;
    int status = 0;

    if (entry->bytes != NULL)
        return 0;
    query = query_open(db, "SELECT source FROM files WHERE file_id = ?1", err);
    query_bind(&query, 1, entry->file_id);
    if (query_next(&query)) {
        const void *bytes = sqlite3_column_blob(query.statement, 0);

        entry->size = bytes == NULL ? 0 : (size_t)sqlite3_column_bytes(query.statement, 0);
        entry->bytes = malloc(entry->size + 1);
        if (entry->bytes == NULL)
            status = error_set(err, "out of memory");
        else if (entry->size > 0)
            memcpy(entry->bytes, bytes, entry->size);
    }
    return query_close(&query) < 0 ? -1 : status;
}

/* The files to put in, in the order of their names. NULL: out of memory. */
static struct entry *list_entries(const struct catalog *catalog, const struct archive_names *names,
                                  const struct format_options *options, size_t *count)
{
    struct entry *entries = calloc(catalog->file_count + 2, sizeof *entries);

    *count = 0;
    for (size_t i = 0; entries != NULL && i < catalog->file_count; i++) {
        const struct catalog_file *file = &catalog->files[i];
        const char *name = archive_names_find(names, file->id);

        if (name != NULL && format_file_matches(options->files, file->raw_path))
            entries[(*count)++] = (struct entry){.name = name, .file_id = file->id};
    }
    if (entries != NULL)
        qsort(entries, *count, sizeof *entries, by_name);
    return entries;
}

/* libzip writes nothing for an archive without entries: this is one. */
static const char empty_zip[22] = "PK\5\6";

static int copy_out(zip_source_t *buffer, struct output *out, struct error *err)
{
    char bytes[COPY_SIZE];
    zip_int64_t size;

    if (zip_source_open(buffer) < 0)
        return error_set(err, "the zip cannot be read back: %s",
                         zip_error_strerror(zip_source_error(buffer)));
    while ((size = zip_source_read(buffer, bytes, sizeof bytes)) > 0)
        output_write(out, bytes, (size_t)size);
    zip_source_close(buffer);
    return size < 0 ? error_set(err, "the zip cannot be read back") : 0;
}

static int build(zip_source_t *buffer, sqlite3 *db, struct entry *entries, size_t count,
                 struct error *err)
{
    zip_error_t zip_err;
    zip_t *archive;

    zip_error_init(&zip_err);
    archive = zip_open_from_source(buffer, ZIP_TRUNCATE, &zip_err);
    if (archive == NULL) {
        error_set(err, "the zip cannot be made: %s", zip_error_strerror(&zip_err));
        zip_error_fini(&zip_err);
        return -1;
    }
    zip_source_keep(buffer); /* zip_close() lets go of it once */
    for (size_t i = 0; i < count; i++) {
        if (load_entry(db, &entries[i], err) < 0 || add_bytes(archive, &entries[i], err) < 0) {
            zip_discard(archive);
            return -1;
        }
    }
    if (zip_close(archive) < 0) {
        error_set(err, "the zip cannot be made: %s", zip_strerror(archive));
        zip_discard(archive);
        return -1;
    }
    return 0;
}

static int write_entries(sqlite3 *db, struct entry *entries, size_t count, struct output *out,
                         struct error *err)
{
    zip_source_t *buffer;
    int status;

    if (count == 0) {
        output_write(out, empty_zip, sizeof empty_zip);
        return 0;
    }
    buffer = zip_source_buffer_create(NULL, 0, 0, NULL);
    if (buffer == NULL)
        return error_set(err, "out of memory");
    status = build(buffer, db, entries, count, err);
    if (status == 0)
        status = copy_out(buffer, out, err);
    zip_source_free(buffer);
    return status;
}

/* All of the profile in callgrind's format, with the names that files have in the zip. */
static int add_callgrind(sqlite3 *db, const struct format_options *options, struct entry *entry,
                         struct error *err)
{
    struct format_options zipped = *options;
    struct output *out = output_open_memory(err);
    int status;

    zipped.zipped = true;
    zipped.per_thread = false;
    *entry = (struct entry){.name = callgrind_name};
    if (out == NULL)
        return -1;
    status = format_find("callgrind")->write(db, &zipped, out, err);
    if (status == 0)
        status = output_take(out, &entry->bytes, &entry->size, err);
    output_close(out);
    return status;
}

static int write_archive(sqlite3 *db, const struct format_options *options, bool with_callgrind,
                         struct output *out, struct error *err)
{
    struct catalog *catalog = catalog_load(db, err);
    struct archive_names *names = NULL;
    struct entry *entries = NULL;
    size_t count = 0;
    int status = -1;

    if (catalog == NULL)
        goto done;
    names = archive_names_new(catalog, err);
    if (names == NULL)
        goto done;
    entries = list_entries(catalog, names, options, &count);
    if (entries == NULL)
        error_set(err, "out of memory");
    else if (!with_callgrind || add_callgrind(db, options, &entries[count++], err) == 0)
        status = write_entries(db, entries, count, out, err);

done:
    for (size_t i = 0; entries != NULL && i < count; i++)
        free(entries[i].bytes);
    free(entries);
    archive_names_free(names);
    catalog_free(catalog);
    return status;
}

static int zip_write(sqlite3 *db, const struct format_options *options, struct output *out,
                     struct error *err)
{
    return write_archive(db, options, false, out, err);
}

static int callgrindzip_write(sqlite3 *db, const struct format_options *options, struct output *out,
                              struct error *err)
{
    return write_archive(db, options, true, out, err);
}

static bool zip_recognize(const unsigned char *head, int size)
{
    return size >= 4 && (memcmp(head, "PK\3\4", 4) == 0 || memcmp(head, "PK\5\6", 4) == 0);
}

static const char *const suffixes[] = {".zip", NULL};

extern const struct format format_zip;
const struct format format_zip = {
    .name = "zip",
    .suffixes = suffixes,
    .summary = "the recorded sources",
    .binary = true,
    .recognize = zip_recognize,
    .write = zip_write,
};

static const char *const no_suffixes[] = {NULL};

extern const struct format format_callgrindzip;
const struct format format_callgrindzip = {
    .name = "callgrindzip",
    .suffixes = no_suffixes,
    .summary = "callgrind and the recorded sources in one zip",
    .binary = true,
    .recognize = zip_recognize,
    .write = callgrindzip_write,
};
