/* backend.h - how an interpreter tells us what it does.
 *
 * One backend a mechanism: sys.settrace's C hook to 3.11, sys.monitoring from 3.12. A backend
 * translates its interpreter's callbacks into the calls of events.h and never sees a byte of the
 * trace.
 */
#ifndef RECORDER_BACKEND_BACKEND_H
#define RECORDER_BACKEND_BACKEND_H

#include <stddef.h>

struct backend {
    const char *name;

    /* Starts the callbacks, in all threads there are and will be. 0, or -1 with a sentence in `why`
     * and nothing left attached. The GIL is held, for all of these. */
    int (*attach)(char *why, size_t why_size);

    /* Stops them in all threads, and lets them come again: between the two the interpreter runs as
     * if it were not recorded. Both do nothing where it is so already. */
    void (*suspend)(void);
    void (*resume)(void);

    /* The process ends, or is replaced: what must be written is. Needs no GIL. NULL: nothing. */
    void (*stop)(void);

    /* ... but was not. As stop(). */
    void (*restart)(void);

    /* Takes back all that attach() did. */
    void (*detach)(void);
};

/* The one for this interpreter, and the one that takes samples instead. */
extern const struct backend backend;
extern const struct backend backend_sampler;

#endif
