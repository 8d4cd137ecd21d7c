#include "name_index.h"

void name_index_fill(struct name_index *index, struct name_place *places, const struct region *region,
                     const uint32_t *hints) {
    index->places = places;
    index->mask = region->slot_count - 1;
    for (uint32_t slot = 0; slot < region->slot_count; slot++) {
        const struct region_slot *used = &region->slots[slot];
        if (used->offset == 0 || hints[slot] == NO_HINT) {
            continue;
        }
        char *string = region_string(region, slot);
        uint64_t hash = name_index_hash(string, used->name_bytes);
        uint32_t i = (uint32_t)hash & index->mask;
        while (places[i].string != NULL) {
            i = (i + 1) & index->mask;
        }
        places[i] = (struct name_place){string, (uint32_t)(hash >> 32), used->name_bytes, slot, hints[slot]};
    }
}
