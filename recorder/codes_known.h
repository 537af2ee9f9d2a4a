/* codes_known.h - which definitions of code are in the trace already.
 *
 * Programs make the same code again and again: they load modules anew, run templates, let exec()
 * make functions. What agrees in everything that a CODE fact tells, or tells it from, is told once
 * and has one number. It is known by a digest of 128 bits, keyed with the run's mark; how many are
 * remembered is bounded.
 */
#ifndef RECORDER_CODES_KNOWN_H
#define RECORDER_CODES_KNOWN_H

#include <stddef.h>
#include <stdint.h>

struct codes_digest {
    uint64_t a, b;
};

struct codes_part {
    const void *bytes;
    size_t size;
};

/* Of the parts in their order, each with its size. */
struct codes_digest codes_known_digest(const struct codes_part *parts, size_t count,
                                       const uint8_t key[16]);

/* Where the number of what has this digest stands, or, if 0 stands there, is to be put. Until the
 * next call. NULL: no memory. */
uint32_t *codes_known_place(struct codes_digest digest);

/* Nothing is in the trace any more. */
void codes_known_forget(void);

#endif
