/* Writer of a region image whose entries come from an image that was read: names and hashes are already known.
 *
 * Pure functions, as in region.h. Plan first, then write: begin, append each planned entry once. */
#ifndef STRONGROOM_REGION_WRITE_H
#define STRONGROOM_REGION_WRITE_H

#include <stddef.h>
#include <stdint.h>

#include "../shared/region.h"

/* What the image will hold; begins as all zero. */
struct region_plan {
    uint32_t entries;
    uint64_t string_bytes;
};

struct region_writer {
    char *base;
    uint32_t slot_count;
    uint32_t next_offset;
    uint32_t total_bytes;
};

/* Counts in one `NAME=VALUE` of `length` bytes, without its NUL. */
void region_plan_add(struct region_plan *plan, size_t length);

/* The size of the planned image; 0 when it would be larger than the format allows. */
size_t region_plan_bytes(const struct region_plan *plan);

/* Writes the header into zeroed, 8-aligned memory of region_plan_bytes(). Seed and generation are those of `source`. */
struct region_writer region_begin(void *memory, const struct region_plan *plan, const struct region *source);

/* Adds `string`, whose name has the hash and the length that `known` says. An entry that does not fit any longer, because
 * another thread changed the string since it was planned, is refused with 0; else 1 is returned. */
int region_append(struct region_writer *writer, const struct region_slot *known, const char *string);

#endif
