/* The environment of a program that is about to be started, put together from the list its starter hands over.
 *
 * Pure functions over memory of the caller: no system call, no allocation. The list is measured first, then room is made,
 * then it is composed; what another thread adds to the list in between finds no room, and that is told.
 */
#ifndef STRONGROOM_COMPOSE_H
#define STRONGROOM_COMPOSE_H

#include "state.h"

/* For whom an environment is. */
enum audience {
    AUDIENCE_TRUSTED, /* may have the secrets: placeholders, region, library, policy */
    AUDIENCE_DENIED,  /* may not: none of these */
    AUDIENCE_LAUNCH,  /* a launch of its own inside this one: without our secrets, with all it put there itself */
};

/* How much room a composition needs. */
struct composition_size {
    size_t entries; /* pointers, with the NULL at the end */
    size_t text_bytes;
};

struct composition {
    char **entries;  /* NULL-terminated once it is composed */
    size_t entries_left;
    size_t count;
    char *text; /* where the next new string goes */
    size_t text_left;
    const uint8_t *included; /* one bit per slot: the secrets that the program will find; NULL for all */
};

static inline bool slot_is_marked(const uint8_t *marks, uint32_t slot) {
    return (marks[slot / 8] >> (slot % 8)) & 1;
}

static inline void slot_mark(uint8_t *marks, uint32_t slot) {
    marks[slot / 8] |= (uint8_t)(1 << (slot % 8));
}

/* The slot of a secret whose text `entry` is, or REGION_NO_SLOT. One of our own strings counts whatever the program has
 * written over its value: what it holds now is what the program passes on. */
uint32_t compose_secret(const struct state *state, const char *entry);

/* The room that any composition of `list` as it is now needs. */
struct composition_size compose_measure(const struct state *state, char *const *list);

/* Composes the environment into `composition`, whose pointers and sizes are set and which is otherwise zero. `region` is
 * the STRONGROOM_REGION entry for AUDIENCE_TRUSTED, and is not copied. Returns false when the room was not enough,
 * or there is a secret that is not included: its placeholder would stay empty.
 *
 * Of LD_PRELOAD and our own variables only the first entry counts, and later ones are left out:
 * getenv() and musl's loader take the first of duplicates, glibc's loader the last, and a program must not be given two
 * answers to what it may have. */
bool compose(struct composition *composition, const struct state *state, char *const *list, enum audience audience,
             char *region);

#endif
