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

#include "rotation.h"

#define REGION_VARIABLE "STRONGROOM_REGION"
#define DUMPABLE_VARIABLE "STRONGROOM_DUMPABLE" /* =1: the process stays open to debuggers of its own user */

enum { HANDOVER_TEXT_BYTES = 48 }; /* room for `STRONGROOM_REGION=memfd-secret:2147483647` */

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

/* Whether `text` says that the region was taken over: a descriptor of dashes. A program that starts another by a raw
 * system call passes this text on, and plaintext with it; there is nothing to take over then. */
bool handover_is_retired(const char *text);

/* Makes it say so, in place and without changing its length, and closes the descriptor: anyone who holds a descriptor can
 * map the memory, so none is kept. `text` must have been parsed into `handover`. */
void handover_retire(const struct handover *handover, char *text);

/* Maps the image, copies it to fresh memory of the same rung, validates the copy and returns it; *length is its size. The
 * copy is readable and writable. Whatever goes wrong ends the process (fail.h). */
void *handover_take(const struct handover *handover, size_t *length);

struct shared;

/* Makes shared memory of the same rung with a copy of the image, and validates the copy. Its descriptor is inherited by
 * exec and is 100 or above. Whatever goes wrong ends the process. */
void handover_copy(const struct handover *handover, struct shared *copy);

/* Puts a copy in fresh secret memory instead of the copy at `base`, which is shared with a parent since fork: at the
 * same addresses and at once for all threads. Returns false, and changes nothing, where no memory can be had. */
bool handover_separate(char *base, size_t length);

/* Maps the image for reading and keeps it mapped, to follow its changes. Failure ends the process. */
struct live_image handover_watch(const struct handover *handover, size_t length);

/* Shared memory for another program. */
struct shared {
    enum rung rung;
    int fd;
    void *memory;
    size_t length;
};

/* Makes `length` bytes of zeroed shared memory and maps it for writing. Returns 0 or a negative errno value. */
long handover_make(enum rung rung, size_t length, struct shared *shared);

/* Takes the mapping away and returns an inheritable descriptor of the memory from 100 on, or a negative errno value;
 * nothing is left behind then. */
long handover_finish(struct shared *shared);

/* Gives up memory that was made and not finished. */
void handover_drop(struct shared *shared);

/* Writes the environment entry that hands `fd` over into `text`, of HANDOVER_TEXT_BYTES. */
void handover_print(char *text, enum rung rung, int fd);

#endif
