/* codes_twins.h - code that is compiled again and again, as templates are.
 *
 * A server can make thousands of code objects a minute that are the same code: each with its own
 * CODE fact they would be most of a sampled trace. Of the last ones the facts are kept, so that one
 * which says the same as another gets its number, and is not written. The GIL is held.
 */
#ifndef RECORDER_CODES_TWINS_H
#define RECORDER_CODES_TWINS_H

#include <stddef.h>
#include <stdint.h>

/* The number of the code of which a fact said the same as these bytes, all but its number; else
 * `number`, which from now on is the one. */
uint32_t codes_twins_number(const void *bytes, size_t size, uint32_t number);

/* The numbers mean nothing any more. */
void codes_twins_forget(void);

#endif
