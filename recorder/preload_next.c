#include "recorder/preload_next.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>

static struct preload_next next;
static atomic_bool is_found;

/* Another library's constructor may call one of these before ours has run: then it is found here.
 */
const struct preload_next *preload_next(void)
{
    if (atomic_load_explicit(&is_found, memory_order_acquire))
        return &next;
#define X(name) next.name = (__typeof__(name) *)dlsym(RTLD_NEXT, #name);
    PRELOAD_NEXT_MAP(X)
#undef X
    atomic_store_explicit(&is_found, true, memory_order_release);
    return &next;
}
