/* shell_quote.h - arguments as they would be typed. */
#ifndef ANALYZER_SHELL_QUOTE_H
#define ANALYZER_SHELL_QUOTE_H

#include <stddef.h>

#include "formats/trace/decode.h"

/* Begin with all zero; free `text`. */
struct shell_quote {
    char *text;
    size_t size, room;
    int failed; /* no memory: what is there is kept */
};

/* Adds an argument, in quotes if a shell would not take it as it is. */
void shell_quote_add(struct shell_quote *quote, struct trace_bytes argument);

/* Adds each of a list of arguments ended by NUL. */
void shell_quote_add_list(struct shell_quote *quote, struct trace_bytes arguments);

struct trace_bytes shell_quote_bytes(const struct shell_quote *quote);

#endif
