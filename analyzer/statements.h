/* statements.h - the statements of all files of an analysis, from their recorded texts. */
#ifndef ANALYZER_STATEMENTS_H
#define ANALYZER_STATEMENTS_H

#include <stdint.h>

struct error;
struct model;
struct sources;
struct statements;

/* Of the model's files as they are now; files that come later have none. NULL with *err set. */
struct statements *statements_new(const struct model *model, const struct sources *sources,
                                  struct error *err);
void statements_free(struct statements *statements);

/* The line with which the statement begins that this line of the file is of. The line itself if
 * there is no text, no such line, or `statements` is NULL. May be called by any thread. */
uint32_t statements_first_line(const struct statements *statements, uint32_t file, uint32_t line);

#endif
