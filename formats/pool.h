/* pool.h - memory that is freed all at once, for names and nodes that live as long as a report. */
#ifndef FORMATS_POOL_H
#define FORMATS_POOL_H

#include <stddef.h>

struct pool_block;

struct pool {
    struct pool_block *blocks; /* owned; NULL: empty */
    char *at;
    size_t left;
};

/* Memory for `size` bytes, aligned for anything; NULL: out of memory. */
void *pool_alloc(struct pool *pool, size_t size);

/* A copy with a NUL behind it; NULL: out of memory. */
char *pool_string(struct pool *pool, const char *bytes, size_t size);

void pool_fini(struct pool *pool);

#endif
