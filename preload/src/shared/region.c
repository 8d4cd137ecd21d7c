#include "region.h"

#include <stdbool.h>

#include "bytes.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the region image is little-endian and is read in place"
#endif

_Static_assert(sizeof(struct region_header) == REGION_HEADER_BYTES, "the header has no padding");
_Static_assert(sizeof(struct region_slot) == 16, "a slot has no padding");

#define FNV_PRIME UINT32_C(16777619)

static const uint8_t MAGIC[8] = {'S', 'R', 'R', 'E', 'G', 'N', '1', '\0'};

/* One step of FNV-1a. */
static inline uint32_t hash_step(uint32_t hash, char byte) {
    return (hash ^ (uint8_t)byte) * FNV_PRIME;
}

static uint32_t hash_name(uint32_t seed, const char *name, size_t name_bytes) {
    uint32_t hash = seed;
    for (size_t i = 0; i < name_bytes; i++) {
        hash = hash_step(hash, name[i]);
    }
    return hash;
}

static bool all_zero(const uint8_t *bytes, size_t length) {
    uint8_t any = 0;
    for (size_t i = 0; i < length; i++) {
        any |= bytes[i];
    }
    return any == 0;
}

uint32_t region_slots_for(uint32_t entries) {
    if (entries == 0) {
        return 0;
    }
    uint32_t slots = 2;
    while (slots < 2 * entries) {
        slots *= 2;
    }
    return slots;
}

/* [A-Za-z_][A-Za-z0-9_]*, spelt out because isalpha() follows the locale. */
static bool name_is_legal(const char *name, size_t name_bytes) {
    for (size_t i = 0; i < name_bytes; i++) {
        char c = name[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        bool digit = c >= '0' && c <= '9';
        if (!letter && !(digit && i > 0)) {
            return false;
        }
    }
    return name_bytes > 0;
}

/* Rules 1 to 4. */
static const char *check_header(const struct region_header *header, size_t length) {
    if (length < REGION_HEADER_BYTES) {
        return "rule 1: shorter than a header";
    }
    for (size_t i = 0; i < sizeof MAGIC; i++) {
        if (header->magic[i] != MAGIC[i]) {
            return "rule 1: does not begin with the magic";
        }
    }
    if (header->total_bytes != length) {
        return "rule 2: total size differs from the length of the image";
    }
    if (length % 8 != 0 || length > REGION_MAX_BYTES) {
        return "rule 2: total size is not a multiple of 8 or above the limit";
    }
    if (header->entries > REGION_MAX_ENTRIES) {
        return "rule 3: too many entries";
    }
    if (header->slots != region_slots_for(header->entries)) {
        return "rule 3: number of slots does not follow from the number of entries";
    }
    if (header->slots > (length - REGION_HEADER_BYTES) / sizeof(struct region_slot)) {
        return "rule 3: the table reaches beyond the end";
    }
    if (header->generation_check != ~header->generation) {
        return "rule 4: generation and its check are not complements";
    }
    if (!all_zero(header->reserved, sizeof header->reserved)) {
        return "rule 4: reserved bytes are not zero";
    }
    if (header->entries == 0 && header->seed != 0) {
        return "rule 4: seed of an empty region is not 0";
    }
    return NULL;
}

/* Rules 6 and 7 for one used slot of an image whose strings begin at `strings`. */
static const char *check_string(const char *base, uint64_t strings, size_t length, uint32_t seed,
                                const struct region_slot *slot) {
    /* 64 bits: the sum of three 32-bit fields must not wrap. */
    uint64_t end = (uint64_t)slot->offset + slot->name_bytes + 1 + slot->value_bytes;
    if (slot->offset < strings || end >= length) {
        return "rule 6: a string lies outside the room for strings";
    }
    if (slot->offset > strings && base[slot->offset - 1] != '\0') {
        return "rule 6: a string does not begin behind a terminator";
    }
    const char *name = base + slot->offset;
    if (!name_is_legal(name, slot->name_bytes)) {
        return "rule 6: a name is not legal";
    }
    if (name[slot->name_bytes] != '=') {
        return "rule 6: a name is not followed by =";
    }
    if (base[end] != '\0') {
        return "rule 6: a value is not terminated";
    }
    const char *value = name + slot->name_bytes + 1;
    for (uint32_t i = 0; i < slot->value_bytes; i++) {
        if (value[i] == '\0') {
            return "rule 6: a value contains NUL";
        }
    }
    if (slot->hash != hash_name(seed, name, slot->name_bytes)) {
        return "rule 7: a hash is not the hash of its name";
    }
    return NULL;
}

/* Rule 8 for the used slot `index`; all strings have passed check_string(). */
static const char *check_probe(const struct region *region, uint32_t index) {
    const struct region_slot *slot = &region->slots[index];
    uint32_t mask = region->slot_count - 1;
    for (uint32_t i = slot->hash & mask; i != index; i = (i + 1) & mask) {
        const struct region_slot *before = &region->slots[i];
        if (before->offset == 0) {
            return "rule 8: probing for a name ends before its slot";
        }
        if (before->hash == slot->hash && before->name_bytes == slot->name_bytes &&
            bytes_equal(region->base + before->offset, region->base + slot->offset, slot->name_bytes)) {
            return "rule 8: a name stands twice";
        }
    }
    return NULL;
}

const char *region_check(const void *image, size_t length) {
    const struct region_header *header = image;
    const char *broken = check_header(header, length);
    if (broken != NULL) {
        return broken;
    }

    const char *base = image;
    const struct region_slot *slots = (const void *)(base + REGION_HEADER_BYTES);
    uint64_t strings = REGION_HEADER_BYTES + (uint64_t)header->slots * sizeof *slots;
    uint32_t used = 0;
    for (uint32_t i = 0; i < header->slots; i++) {
        if (slots[i].offset == 0) {
            if (!all_zero((const uint8_t *)&slots[i], sizeof slots[i])) {
                return "rule 5: an empty slot is not all zero";
            }
            continue;
        }
        used++;
        broken = check_string(base, strings, length, header->seed, &slots[i]);
        if (broken != NULL) {
            return broken;
        }
    }
    if (used != header->entries) {
        return "rule 5: number of used slots differs from the number of entries";
    }

    struct region region = {(char *)(uintptr_t)base, slots, header->slots, header->seed};
    for (uint32_t i = 0; i < header->slots; i++) {
        if (slots[i].offset != 0) {
            broken = check_probe(&region, i);
            if (broken != NULL) {
                return broken;
            }
        }
    }
    return NULL;
}

struct region region_open(void *image) {
    const struct region_header *header = image;
    char *base = image;
    return (struct region){base, (const void *)(base + REGION_HEADER_BYTES), header->slots, header->seed};
}

uint32_t region_find(const struct region *region, const char *text, size_t *name_bytes) {
    uint32_t hash = region->seed;
    size_t length = 0;
    for (char c = text[0]; c != '\0' && c != '='; c = text[length]) {
        hash = hash_step(hash, c);
        length++;
    }
    *name_bytes = length;

    if (region->slot_count == 0) {
        return REGION_NO_SLOT;
    }
    uint32_t mask = region->slot_count - 1;
    /* Ends, because at most half of the slots of a checked image are used. */
    for (uint32_t i = hash & mask; region->slots[i].offset != 0; i = (i + 1) & mask) {
        const struct region_slot *slot = &region->slots[i];
        if (slot->hash == hash && slot->name_bytes == length &&
            bytes_equal(region->base + slot->offset, text, length)) {
            return i;
        }
    }
    return REGION_NO_SLOT;
}
