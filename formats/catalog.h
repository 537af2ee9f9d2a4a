/* catalog.h - the files and functions of a profile, in memory and with names that are safe to show.
 *
 * Every name here is printable text (text.h). What a format prints of a function or a file comes
 * from here, so that all formats call the same thing by the same name.
 */
#ifndef FORMATS_CATALOG_H
#define FORMATS_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "formats/pool.h"

struct error;

enum catalog_origin { CATALOG_PROGRAM, CATALOG_SITE, CATALOG_STDLIB, CATALOG_OTHER };

struct catalog_file {
    int64_t id;
    const char *raw_path; /* files.path as it is, for patterns and archive names */
    const char *path;     /* relative to the folder the program ran in, if it is below that */
    const char *name;     /* relative to the sys.path entry it came from */
    const char *shown;    /* the shorter of the two */
    enum catalog_origin origin;
    bool has_source;
    bool changed; /* differs today from what was recorded */
};

struct catalog_function {
    int64_t id;
    const struct catalog_file *file;
    const char *module; /* of one without: its file */
    const char *qualname;
    const char *unique; /* module:qualname, with the line and a count where two would be the same */
    int64_t first_line;
    bool is_outside; /* the time in which no recorded function was on the stack */
};

struct catalog {
    struct catalog_file *files; /* ascending by id */
    size_t file_count;
    struct catalog_function *functions; /* ascending by id */
    size_t function_count;
    uint64_t total_self_ns; /* what 100 % is */
    uint64_t outside_ns;    /* the part in which no recorded function was on the stack */
    uint64_t total_self_cpu_ns;
    uint64_t total_hits;
    struct pool pool; /* owns all of the above */
};

/* Reads it from the database. NULL with *err set on failure. */
struct catalog *catalog_load(sqlite3 *db, struct error *err);
void catalog_free(struct catalog *catalog);

/* NULL: there is none of that id. */
const struct catalog_file *catalog_file(const struct catalog *catalog, int64_t id);
const struct catalog_function *catalog_function(const struct catalog *catalog, int64_t id);

#endif
