/* file_rows.h - the tables `files` and `lines`: source texts, and every executable line with its
 * sums. */
#ifndef ANALYZER_FILE_ROWS_H
#define ANALYZER_FILE_ROWS_H

struct error;
struct model;
struct sources;
struct store;
struct totals;

/* Writes them. Failures to write stick in the store; -1 with *err set if a trace cannot be read or
 * there is no memory. */
int file_rows_store(const struct model *model, const struct totals *totals,
                    const struct sources *sources, struct store *store, struct error *err);

#endif
