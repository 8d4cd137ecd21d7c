/* getenv() and secure_getenv() for the programs the library is loaded into.
 *
 * Contract of both: NULL for a NULL or empty name and for a name that contains '='. What the program did to its
 * environment (setenv, putenv, unsetenv, clearenv, another `environ`) wins over the region, always; it is told by
 * looking at `environ`, so nothing has to be wrapped for it. Not told is a program that writes a new entry of the same
 * name over an entry of another name in the middle of the initial list, or ends that list short anywhere but at its
 * start, by its own hand. A pointer handed out stays valid. No allocation, no lock, no errno; safe in threads, in signal
 * handlers and after fork.
 */
#include "../shared/environment.h"
#include "export.h"
#include "own_copy.h"
#include "state.h"

EXPORT char *getenv(const char *name);
EXPORT char *secure_getenv(const char *name);

__attribute__((constructor)) static void on_load(int argc, char **argv, char **envp) {
    (void)argc;
    (void)argv;
    state_load(envp);
}

/* The answer for a name that is not answered from the region. glibc is asked itself: it is quicker where many names
 * begin alike, and since 2.41 safe against setenv() in another thread. musl is slower than the search here. */
static inline char *search(const struct state *state, char **list, const char *name) {
    if (state == NULL || state->glibc_getenv == NULL) {
        return environment_value(list, name);
    }
    char *value = state->glibc_getenv(name);
    /* glibc finds "A=B" in an entry "A=B=C". */
    return value != NULL && environment_is_name(name) ? value : NULL;
}

/* The first answer in a child of fork(), which must have a copy of its own before, for a name that may be that of a secret. */
__attribute__((noinline)) static char *lookup_with_own_copy(const struct state *state, char **list, const char *name);

static inline char *lookup(const struct state *state, const char *name) {
    char **list = environment_now();
    if (list == NULL) {
        return NULL;
    }
    if (state != NULL && name_filter_has(state, name)) {
        if (list == state->list) {
            const struct name_place *place = name_index_find(&state->index, name);
            /* The list is the one we know, so it is long enough to look into; `*environ = NULL` empties it in place. */
            if (place != NULL && list[0] != NULL && list[place->hint] == place->string) {
                const char *newer =
                    state->live.base != NULL ? rotation_value(&state->live, &state->region, place->slot) : NULL;
                return newer != NULL ? (char *)(uintptr_t)newer : place->string + place->name_bytes + 1;
            }
        }
        if (own_copy_is_missing(&state->index)) {
            return lookup_with_own_copy(state, list, name);
        }
    }
    return search(state, list, name);
}

static char *lookup_with_own_copy(const struct state *state, char **list, const char *name) {
    return state_separate() ? lookup(state, name) : search(state, list, name);
}

char *getenv(const char *name) {
    if (name == NULL || name[0] == '\0') {
        return NULL;
    }
    return lookup(state_now(), name);
}

char *secure_getenv(const char *name) {
    if (name == NULL || name[0] == '\0') {
        return NULL;
    }
    const struct state *state = state_now();
    return state == NULL || state->is_secure ? NULL : lookup(state, name);
}
