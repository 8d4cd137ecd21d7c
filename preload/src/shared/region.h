/* Reader of the region image, version 1 (docs/region-format.md).
 *
 * Pure functions over a block of memory: no system call, no state, no allocation. They compile freestanding for the
 * library and hosted for the tests. The memory must be aligned to 8 bytes, as every mapping is.
 */
#ifndef STRONGROOM_REGION_H
#define STRONGROOM_REGION_H

#include <stddef.h>
#include <stdint.h>

enum {
    REGION_HEADER_BYTES = 48,
    REGION_MAX_ENTRIES = 65535,
    REGION_MAX_BYTES = 1 << 30,
};

/* The answer of region_find() for a name that is not in the region. */
#define REGION_NO_SLOT UINT32_MAX

struct region_header {
    uint8_t magic[8];
    uint32_t total_bytes;
    uint32_t entries;
    uint32_t slots;
    uint32_t seed;
    uint32_t generation;
    uint32_t generation_check;
    uint8_t reserved[16];
};

struct region_slot {
    uint32_t hash;
    uint32_t name_bytes;
    uint32_t offset; /* 0 in an empty slot */
    uint32_t value_bytes;
};

/* A checked image. */
struct region {
    char *base;
    const struct region_slot *slots;
    uint32_t slot_count;
    uint32_t seed;
};

/* The number of slots that the table of an image with `entries` entries has. */
uint32_t region_slots_for(uint32_t entries);

/* Checks every rule of the format. Returns NULL when `length` bytes at `image` are an image that may be used, else a
 * static text that names the first rule broken ("rule 3: ..."). Reads nothing outside the buffer whatever it holds. */
const char *region_check(const void *image, size_t length);

/* The image at `image` as a struct region. It must have passed region_check() and must stay mapped. */
struct region region_open(void *image);

/* The slot of the name that `text` begins with and that ends at the first '=' or NUL; REGION_NO_SLOT when there is none.
 * Stores the length of that name in *name_bytes. */
uint32_t region_find(const struct region *region, const char *text, size_t *name_bytes);

/* The `NAME=VALUE` string of a used slot. */
static inline char *region_string(const struct region *region, uint32_t slot) {
    return region->base + region->slots[slot].offset;
}

#endif
