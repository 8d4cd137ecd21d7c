#include "region_write.h"

#include "../shared/bytes.h"

void region_plan_add(struct region_plan *plan, size_t length) {
    plan->entries++;
    plan->string_bytes += length + 1;
}

size_t region_plan_bytes(const struct region_plan *plan) {
    uint64_t bytes = REGION_HEADER_BYTES + plan->string_bytes +
                     (uint64_t)region_slots_for(plan->entries) * sizeof(struct region_slot);
    bytes = (bytes + 7) / 8 * 8;
    return bytes > REGION_MAX_BYTES ? 0 : bytes;
}

struct region_writer region_begin(void *memory, const struct region_plan *plan, const struct region *source) {
    const struct region_header *from = (const void *)source->base;
    struct region_header *header = memory;
    *header = *from; /* magic, generation and reserved bytes */
    header->total_bytes = (uint32_t)region_plan_bytes(plan);
    header->entries = plan->entries;
    header->slots = region_slots_for(plan->entries);
    header->seed = plan->entries == 0 ? 0 : source->seed;
    uint32_t strings = REGION_HEADER_BYTES + header->slots * (uint32_t)sizeof(struct region_slot);
    return (struct region_writer){memory, header->slots, strings, header->total_bytes};
}

int region_append(struct region_writer *writer, const struct region_slot *known, const char *string) {
    size_t length = text_length(string);
    if (length < (size_t)known->name_bytes + 1 || length + 1 > writer->total_bytes - writer->next_offset) {
        return 0;
    }
    struct region_slot *slots = (void *)(writer->base + REGION_HEADER_BYTES);
    uint32_t index = known->hash & (writer->slot_count - 1);
    while (slots[index].offset != 0) {
        index = (index + 1) & (writer->slot_count - 1);
    }
    slots[index] = (struct region_slot){
        .hash = known->hash,
        .name_bytes = known->name_bytes,
        .offset = writer->next_offset,
        .value_bytes = (uint32_t)(length - known->name_bytes - 1),
    };
    bytes_copy(writer->base + writer->next_offset, string, length + 1);
    writer->next_offset += (uint32_t)length + 1;
    return 1;
}
