/* identity.h - what tells this process from one that has its id later.
 *
 * Who reads the trace while the program may still run looks whether it does.
 */
#ifndef RECORDER_IDENTITY_H
#define RECORDER_IDENTITY_H

#include <stdint.h>

struct identity {
    uint64_t start;         /* when it began, in clock ticks since the machine did; 0: not known */
    uint64_t pid_namespace; /* in which its id is one; 0: not known */
};

struct identity identity_of_self(void);

#endif
