/* fact_list.h - records of facts by process and number.
 *
 * Filled in the order of the trace, then settled once: from then on sorted and searched.
 */
#ifndef ANALYZER_FACT_LIST_H
#define ANALYZER_FACT_LIST_H

#include <stddef.h>
#include <stdint.h>

#include "analyzer/facts.h"

/* An array of records that begin with a struct facts_key. Begin with all zero but for the size. */
struct fact_list {
    void *items; /* owned: free() it */
    size_t count, room;
    size_t size; /* of a record */
};

/* A new record, zero behind its key. NULL: no memory. Good until the next one is added. */
void *fact_list_add(struct fact_list *list, struct facts_key key);

/* Sorts. Of records with the same process and number only the last remains. */
void fact_list_settle(struct fact_list *list);

/* The record of that process and number in a settled list, or NULL. */
void *fact_list_find(const struct fact_list *list, uint32_t process, uint64_t number);

#endif
