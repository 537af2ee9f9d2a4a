/* archive_names.h - what the recorded sources are called inside a zip.
 *
 * Recorded paths are a stranger's: absolute, with `..`, drives, control characters. The names made
 * of them stay inside the folder they are extracted to, on any system: relative, printable, at most
 * 200 bytes, no two equal even where case does not count, none both a file and a folder. Files
 * below the folder that the program ran in keep their place; others are below _stdlib/, _site/ and
 * _other/. The same profile gives the same names.
 */
#ifndef FORMATS_ARCHIVE_NAMES_H
#define FORMATS_ARCHIVE_NAMES_H

#include <stdint.h>

struct archive_names;
struct catalog;
struct error;

/* Names for all files with a recorded text. NULL with *err set on failure. The catalog must outlive
 * it. */
struct archive_names *archive_names_new(const struct catalog *catalog, struct error *err);
void archive_names_free(struct archive_names *names);

/* The name of the file of that id, borrowed; NULL if it has no recorded text. */
const char *archive_names_find(const struct archive_names *names, int64_t file_id);

#endif
