/* The program that a call of the exec family is about to start. */
#ifndef STRONGROOM_TARGET_H
#define STRONGROOM_TARGET_H

#include <stdbool.h>

enum { TARGET_PATH_BYTES = 4096 }; /* PATH_MAX of Linux */

/* As the caller named it. */
struct target {
    int directory;      /* where a relative path begins; AT_FDCWD mostly */
    const char *path;   /* "" together with AT_EMPTY_PATH stands for `directory` itself */
    bool search;        /* look for a path without a slash in the directories of PATH */
    int flags;          /* those of execveat() */
    bool spawned;       /* a new process becomes the program, not this one */
    char *const *argv;
};

/* Writes the path of the program into `path`, of TARGET_PATH_BYTES: found in `search_path` (the PATH of this process,
 * or NULL) when it is to be searched, else as named; for a descriptor, what /proc says it is. A program that cannot be
 * found keeps its name. No allocation; safe between vfork and exec. */
void target_resolve(const struct target *target, const char *search_path, char *path);

#endif
