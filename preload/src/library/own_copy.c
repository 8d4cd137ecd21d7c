#include "own_copy.h"

#include "../shared/fail.h"
#include "../shared/syscalls.h"

_Static_assert(sizeof(struct own_copy_mark) % _Alignof(struct name_place) == 0, "places follow the mark");

struct name_place *own_copy_places(const struct region *region, enum rung rung) {
    size_t bytes = sizeof(struct own_copy_mark) + region->slot_count * sizeof(struct name_place);
    struct own_copy_mark *mark = sys_mmap(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (is_map_error(mark)) {
        return NULL;
    }
    if (rung != RUNG_ANY) {
        sys_madvise(mark, bytes, MADV_WIPEONFORK); /* since Linux 4.14; without it the pages stay shared, or unlocked */
    }
    mark->is_ours = 1;
    return (struct name_place *)(void *)(mark + 1);
}

/* With the lock of the table that was found empty. The new one is filled before it is published, for other threads;
 * readers need no barrier, since they get at the places by the pointer that is loaded. */
static bool replace(struct name_index *index, const struct region *region, enum rung rung, const uint32_t *hints) {
    struct name_place *places = own_copy_places(region, rung);
    if (places == NULL) {
        return false;
    }
    const struct region_header *header = (const void *)region->base;
    if (rung == RUNG_MEMFD_SECRET) {
        handover_separate(region->base, header->total_bytes);
    } else {
        long result = sys_mlock(region->base, header->total_bytes);
        if (result < 0) {
            fail_call("region", "mlock in a child of fork: ", result);
        }
    }
    struct name_index fresh;
    name_index_fill(&fresh, places, region, hints);
    __atomic_store_n(&index->places, places, __ATOMIC_RELEASE);
    return true;
}

bool own_copy_make(struct name_index *index, const struct region *region, enum rung rung, const uint32_t *hints) {
    kernel_sigset all = ~(kernel_sigset)0;
    kernel_sigset before;
    sys_sigprocmask(SIG_SETMASK, &all, &before); /* a handler on this thread would wait for itself */
    struct own_copy_mark *mark = own_copy_mark(__atomic_load_n(&index->places, __ATOMIC_ACQUIRE));
    while (__atomic_exchange_n(&mark->lock, 1, __ATOMIC_ACQUIRE) != 0) {
        sys_sched_yield();
    }
    bool done = !own_copy_is_missing(index) || replace(index, region, rung, hints);
    __atomic_store_n(&mark->lock, 0, __ATOMIC_RELEASE);
    sys_sigprocmask(SIG_SETMASK, &before, NULL);
    return done;
}
