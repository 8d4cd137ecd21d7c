/* Taking over the region that a launch hands down in a descriptor.
 *
 * STRONGROOM_REGION=RUNG:FD says how the memory is protected and where it is. The process gets a copy of its own: bash
 * and others write into their environment strings, and what one process writes must not be seen by another (a private
 * mapping of secret memory does not exist, MAP_PRIVATE gives EINVAL).
 */
#ifndef STRONGROOM_HANDOVER_H
#define STRONGROOM_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>

#define REGION_VARIABLE "STRONGROOM_REGION"

enum rung {
    RUNG_MEMFD_SECRET, /* memfd_secret(2): not even root reads it through /proc or ptrace */
    RUNG_LOCKED,       /* anonymous memory, never swapped, left out of core dumps */
    RUNG_ANY,          /* the same as far as the machine allows */
};

struct handover {
    enum rung rung;
    int fd;
};

/* Reads `RUNG:FD`. Returns false for anything that is not exactly of this form, or for a descriptor below 100: scripts
 * use the low ones. */
bool handover_parse(const char *text, struct handover *handover);

/* Maps the image, copies it to fresh memory of the same rung, validates the copy and returns it; *length is its size.
 * The copy is readable and writable. The descriptor stays open. Whatever goes wrong ends the process (fail.h). */
void *handover_take(const struct handover *handover, size_t *length);

#endif
