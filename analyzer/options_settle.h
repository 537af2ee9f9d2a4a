/* options_settle.h - what the words of the command line come to together: where results go, what is
 * made when nothing was asked for, and whether the formats can do it. Only options*.c include it. */
#ifndef ANALYZER_OPTIONS_SETTLE_H
#define ANALYZER_OPTIONS_SETTLE_H

#include "analyzer/options.h"

/* A word an option may have, and the value it stands for. */
struct options_word {
    const char *text;
    int value;
};

/* Settles -o, the defaults and the orders, once all words are read. 0, or -1 with a usage error. */
int options_settle(struct options *options, struct error *err);

/* Appends; the item is borrowed. -1: out of memory, in *err. */
int options_list_append(struct options_list *list, const char *item, struct error *err);

/* Appends "a, b, c" to `text`, as far as it fits. */
void options_append_name(char *text, size_t size, const char *name);

/* Adds a report; "-" as its path is standard output. */
int options_add_report(struct options *options, const struct format *format, const char *path,
                       struct error *err);

/* Always -1: says what formats there are. */
int options_unknown_format(const char *option, const char *name, struct error *err);

#endif
