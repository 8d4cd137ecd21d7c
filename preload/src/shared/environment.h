/* The environment list of the process: pointing it at the region, and searching it as a libc does. */
#ifndef STRONGROOM_ENVIRONMENT_H
#define STRONGROOM_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "region.h"

/* Marks a slot whose secret must be searched for: it is not in the list, or the list has duplicates. */
#define NO_HINT UINT32_MAX

/* The pointers of the libc in this process; NULL address in a program without a libc. */
extern char **environ __attribute__((weak));

/* The list as the program sees it at this moment; NULL when there is none. */
static inline char **environment_now(void) {
    return &environ != NULL ? environ : NULL;
}

/* Number of entries of a list. */
size_t environment_count(char *const *list);

/* Whether `name` has no '=' in it. */
bool environment_is_name(const char *name);

/* The first `NAME=...` entry of `list` as getenv() of a libc would find it, or NULL. `name` must not be NULL; an empty
 * name and a name with a '=' in it are never found. Safe in signal handlers. */
char *environment_entry(char *const *list, const char *name);

/* The value of environment_entry(), or NULL. */
char *environment_value(char *const *list, const char *name);

/* Makes entries of `list` point at their strings in `region` and stores in hints[slot] the index of the entry, or NO_HINT
 * where the list must be searched. Repointed are placeholders (`NAME=` with nothing behind), and plaintext copies of the very
 * secret, left by a parent that could not put placeholders back; such a copy is wiped, so that /proc/PID/environ shows
 * it no longer. Any other value was set on purpose by someone on the way here, and stays. */
void environment_repoint(char **list, const struct region *region, uint32_t *hints);

#endif
