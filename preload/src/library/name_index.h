/* Finding a secret by its name in the time that a libc takes for a few entries of its list.
 *
 * The table of a region image is made to be checked: its hash reads a name byte by byte, so that a change of any byte is
 * noticed. This one is made by the process for itself and is not part of any format, so it may hash whole words.
 */
#ifndef STRONGROOM_NAME_INDEX_H
#define STRONGROOM_NAME_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "../shared/environment.h"
#include "../shared/region.h"

struct name_place {
    char *string; /* `NAME=VALUE` in the region; NULL in an empty place */
    uint32_t tag; /* upper half of the hash */
    uint32_t name_bytes;
    uint32_t slot; /* of the region */
    uint32_t hint; /* where the environment list points at the string */
};

struct name_index {
    struct name_place *places;
    uint32_t mask; /* number of places less one; the places are as many as the region's slots, so half of them are empty */
};

static inline uint64_t word_at(const char *text) {
    uint64_t word;
    __builtin_memcpy(&word, text, sizeof word);
    return word;
}

static inline uint32_t half_word_at(const char *text) {
    uint32_t word;
    __builtin_memcpy(&word, text, sizeof word);
    return word;
}

/* Both halves of a product, so that every bit of both factors reaches the low bits of the result. */
static inline uint64_t fold_product(uint64_t left, uint64_t right) {
    unsigned __int128 product = (unsigned __int128)left * right;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Reads exactly `length` bytes, at least one, the last ones twice where that saves a loop. */
static inline uint64_t name_index_hash(const char *name, size_t length) {
    const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15); /* 2^64 by the golden ratio */
    uint64_t first, last;
    if (length >= 8) {
        first = word_at(name);
        last = word_at(name + length - 8);
        for (size_t i = 8; i + 8 < length; i += 8) {
            first = fold_product(first ^ word_at(name + i), odd);
        }
    } else if (length >= 4) {
        first = half_word_at(name);
        last = half_word_at(name + length - 4);
    } else {
        first = (unsigned char)name[0] | (uint64_t)(unsigned char)name[length / 2] << 8;
        last = (unsigned char)name[length - 1];
    }
    return fold_product(first ^ odd, last ^ UINT64_C(0xd6e8feb86659fd93) ^ length);
}

/* Whether two names of the same length, at least one, are equal. */
static inline int name_index_same(const char *left, const char *right, size_t length) {
    if (length >= 8) {
        for (size_t i = 0; i + 8 < length; i += 8) {
            if (word_at(left + i) != word_at(right + i)) {
                return 0;
            }
        }
        return word_at(left + length - 8) == word_at(right + length - 8);
    }
    if (length >= 4) {
        return half_word_at(left) == half_word_at(right) &&
               half_word_at(left + length - 4) == half_word_at(right + length - 4);
    }
    return left[0] == right[0] && left[length / 2] == right[length / 2] && left[length - 1] == right[length - 1];
}

/* The place of a name, which must not be empty; NULL when it is not there. A name with '=' in it never is. */
static inline const struct name_place *name_index_find(const struct name_index *index, const char *name) {
    size_t length = 1;
    while (name[length] != '\0') {
        length++;
    }
    uint64_t hash = name_index_hash(name, length);
    uint32_t tag = (uint32_t)(hash >> 32);
    const struct name_place *places = __atomic_load_n(&index->places, __ATOMIC_RELAXED); /* see own_copy.c */
    for (uint32_t i = (uint32_t)hash & index->mask;; i = (i + 1) & index->mask) {
        const struct name_place *place = &places[i];
        if (place->string == NULL) {
            return NULL;
        }
        if (place->tag == tag && place->name_bytes == length && name_index_same(place->string, name, length)) {
            return place;
        }
    }
}

/* Fills an index with the slots that have a hint (environment.h).
 *
 * `places` has room for as many places as the region has slots, at least one, all zero; hints[slot] is that of
 * environment_repoint(). */
void name_index_fill(struct name_index *index, struct name_place *places, const struct region *region,
                     const uint32_t *hints);

#endif
