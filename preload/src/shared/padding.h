/* Room on the initial stack for the strings of the secrets, which are not there.
 *
 * Servers that show a title take the room of their arguments and environment for it. Some add up the lengths of the
 * strings that `environ` points at, and would write beyond the end of the stack, because the values of secrets are longer
 * than the placeholders in whose stead they are pointed at. So a launch passes a variable as long as the values are
 * together, and the library makes it an empty one before the program sees it: its bytes stay, and are no one's.
 */
#ifndef STRONGROOM_PADDING_H
#define STRONGROOM_PADDING_H

#include <stddef.h>

#include "region.h"

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
