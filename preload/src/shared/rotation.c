#include "rotation.h"

_Static_assert(offsetof(struct region_slot, offset) % 8 == 0, "offset and length of a value are one aligned word");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the offset is the lower half of that word");

bool rotation_has_room(const struct region *copy) {
    const struct region_header *header = (const void *)copy->base;
    size_t end = REGION_HEADER_BYTES + (size_t)copy->slot_count * sizeof *copy->slots;
    for (uint32_t i = 0; i < copy->slot_count; i++) {
        const struct region_slot *slot = &copy->slots[i];
        size_t string_end = (size_t)slot->offset + slot->name_bytes + 1 + slot->value_bytes + 1;
        if (slot->offset != 0 && string_end > end) {
            end = string_end;
        }
    }
    return header->total_bytes - end >= 8; /* less is padding */
}

const char *rotation_value(const struct live_image *live, const struct region *copy, uint32_t slot) {
    const struct region_slot *known = &copy->slots[slot];
    const struct region_slot *slots = (const void *)(live->base + REGION_HEADER_BYTES);
    uint64_t word = __atomic_load_n((const uint64_t *)(const void *)&slots[slot].offset, __ATOMIC_ACQUIRE);
    uint32_t offset = (uint32_t)word;
    uint32_t value_bytes = (uint32_t)(word >> 32);
    if (offset == known->offset) {
        return NULL;
    }
    uint64_t strings = REGION_HEADER_BYTES + (uint64_t)copy->slot_count * sizeof *slots;
    uint64_t value = (uint64_t)offset + known->name_bytes + 1;
    if (offset < strings || value + value_bytes >= live->bytes || live->base[value - 1] != '=' ||
        live->base[value + value_bytes] != '\0') {
        return NULL;
    }
    return live->base + value;
}
