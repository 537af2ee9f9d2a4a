/* names.h - texts numbered in the order in which they are first seen. */
#ifndef FORMATS_NAMES_H
#define FORMATS_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "formats/keymap.h"

struct pool;

struct names {
    struct pool *pool;     /* borrowed; owns the texts */
    struct keymap numbers; /* hash of a text -> its number + 1 */
    const char **texts;    /* owned; terminated */
    size_t count, room;
};

/* The number of a text, from 0; -1: out of memory. */
int64_t names_number(struct names *names, const char *bytes, size_t size);

/* The texts stay with the pool. */
void names_fini(struct names *names);

#endif
