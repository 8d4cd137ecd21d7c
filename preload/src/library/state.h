/* What the library found out when it was loaded. Written once, read by everything else. */
#ifndef STRONGROOM_STATE_H
#define STRONGROOM_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "../shared/environment.h"
#include "../shared/handover.h"
#include "libc.h"
#include "../shared/rotation.h"
#include "name_index.h"
#include "../shared/region.h"

enum { NAME_FILTER_WORDS = 4 };

struct state {
    bool has_region;
    int process;            /* which loaded the library; a child before exec has another number */
    bool dumpable;          /* it was started with STRONGROOM_DUMPABLE=1; only then its children may be */
    bool is_secure;         /* AT_SECURE: secure_getenv() answers nothing */
    struct region region;   /* this process's own copy */
    struct live_image live; /* the image itself, where it can change */
    char **list;            /* the environment list in which placeholders were repointed */
    struct name_index index; /* the secrets that `list` points at */
    const uint32_t *hints;  /* of environment_repoint() */
    char *const *placeholders; /* per slot: `NAME=`, for the environment of a child */
    const char *library;    /* this library as LD_PRELOAD names it; "" when it came another way */
    char *policy_entry;     /* `STRONGROOM_CHILDREN=...`, or NULL */
    const char *policy;     /* its value, or NULL */
    char *padding_entry;    /* `STRONGROOM_PADDING=...` for a child, or NULL */
    enum rung rung;
    int left_descriptor;    /* the region's, which stays open for what is started by raw system calls; 0: closed */
    struct libc libc;
    char *(*glibc_getenv)(const char *); /* NULL where the libc is not glibc */
    uint64_t name_filter[NAME_FILTER_WORDS]; /* one bit per pair of first bytes of the names in the region */
};

/* The state, loaded first if this is the first call in the process. `envp` is the list to use where the libc has not
 * set its own yet; NULL when the caller does not know one, and then the answer may be NULL: not loaded yet. A failure
 * to load ends the process (fail.h). */
const struct state *state_load(char **envp);

/* own_copy_make() for this process, which must have secrets. */
bool state_separate(void);

/* What state_load(NULL) returned when the state was loaded; NULL before. */
extern const struct state *state_loaded;

/* The state, without a call once it is loaded. */
static inline const struct state *state_now(void) {
    const struct state *state = __atomic_load_n(&state_loaded, __ATOMIC_ACQUIRE);
    return state != NULL ? state : state_load(NULL);
}

/* The bit of the filter for a name that starts with these bytes. */
static inline unsigned name_filter_bit(const char *name) {
    return ((unsigned char)name[0] ^ ((unsigned)(unsigned char)name[1] << 3)) % (NAME_FILTER_WORDS * 64);
}

/* Lets the name of `NAME=VALUE` through, as it is asked for and as it is in an environment: behind a name of one
 * letter the two differ. */
static inline void name_filter_add(struct state *state, const char *string, size_t name_bytes) {
    const char asked[] = {string[0], name_bytes > 1 ? string[1] : '\0'};
    const char *const beginnings[] = {string, asked};
    for (int i = 0; i < 2; i++) {
        unsigned bit = name_filter_bit(beginnings[i]);
        state->name_filter[bit / 64] |= UINT64_C(1) << (bit % 64);
    }
}

/* False when no name in the region starts like `name`, which must not be empty. */
static inline bool name_filter_has(const struct state *state, const char *name) {
    unsigned bit = name_filter_bit(name);
    return (state->name_filter[bit / 64] >> (bit % 64)) & 1;
}

#endif
