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

/* Room on the initial stack for the strings of the secrets, which are not there.
 *
 * Servers that show a title take the room of their arguments and environment for it. Some add up the lengths of the
 * strings that `environ` points at, and would write beyond the end of the stack, because the values of secrets are longer
 * than the placeholders in whose stead they are pointed at. So a launch passes a variable as long as the values are
 * together, and the library makes it an empty one before the program sees it: its bytes stay, and are no one's.
 */
#define PADDING_VARIABLE "STRONGROOM_PADDING"

/* The length of the padding for all secrets of the region, a multiple of 256 so that it tells little of them; 0 when it
 * would be longer than one variable can be (128 KiB, execve(2)), and there is none then. wrapper/plan.py has the same. */
size_t padding_bytes(const struct region *region);

/* The room that padding_print() needs. */
static inline size_t padding_entry_bytes(size_t bytes) {
    return sizeof PADDING_VARIABLE "=" + bytes;
}

/* Writes the entry with `bytes` of padding, NUL-terminated. */
void padding_print(char *entry, size_t bytes);

/* Makes the variable an empty one in the environment that this process was started with. */
void padding_empty(char **list);

#endif
