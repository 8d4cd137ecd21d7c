/* Memory of its own for each child of fork() that asks for a secret: a copy, or the lock that it did not inherit.
 *
 * Secret memory cannot be mapped copy-on-write, so after fork parent and child share its pages, and what one of them
 * writes the other reads: a worker that wipes a password after use would take it from all. The table of names lies in
 * memory that the kernel empties in a child (MADV_WIPEONFORK), however the child came about. So getenv() does not find
 * a name there, looks closer, and puts a copy instead of the shared pages before it hands a pointer out. A child that
 * execs without asking pays nothing. Of ordinary memory a child has a copy, which is locked only in its parent (mlock(2)).
 */
#ifndef STRONGROOM_OWN_COPY_H
#define STRONGROOM_OWN_COPY_H

#include <stdbool.h>

#include "../shared/handover.h"
#include "name_index.h"

/* Stands in front of the places, and is as empty as they are in a child. */
struct own_copy_mark {
    uint32_t is_ours;
    uint32_t lock;
    uint64_t unused; /* keeps the places aligned */
};

static inline struct own_copy_mark *own_copy_mark(struct name_place *places) {
    return (struct own_copy_mark *)(void *)places - 1;
}

/* Room for the places of a region in memory of this rung; NULL when there is no memory. */
struct name_place *own_copy_places(const struct region *region, enum rung rung);

/* Whether this process shares the strings with the one that forked it, or has not locked them. */
static inline bool own_copy_is_missing(const struct name_index *index) {
    struct name_place *places = __atomic_load_n(&index->places, __ATOMIC_ACQUIRE);
    return __atomic_load_n(&own_copy_mark(places)->is_ours, __ATOMIC_ACQUIRE) == 0;
}

/* Ends that: a copy at the same addresses, or a lock, and a new table. Where no secret memory can be had the pages stay
 * shared; where ordinary memory must be locked and cannot be, the process ends (fail.h). Returns false when there is no memory for the table. `hints` are those of environment_repoint(). Waits for other threads
 * that do the same; safe in signal handlers. */
bool own_copy_make(struct name_index *index, const struct region *region, enum rung rung, const uint32_t *hints);

#endif
