/* The program that a call of the exec family is about to start. */
#ifndef STRONGROOM_TARGET_H
#define STRONGROOM_TARGET_H

#include <linux/fcntl.h>
#include <stdbool.h>

enum { TARGET_PATH_BYTES = 4096 }; /* PATH_MAX of Linux */

/* As the caller named it. */
struct target {
    int directory;      /* where a relative path begins; AT_FDCWD mostly */
    const char *path;   /* "" together with AT_EMPTY_PATH stands for `directory` itself */
    bool search;        /* look for a path without a slash in the directories of PATH */
    bool gnu;           /* of glibc's execvp(), which takes a directory of PATH_MAX bytes or more for an empty one where
                           another follows; that of musl passes over it */
    int flags;          /* those of execveat() */
    bool spawned;       /* a new process becomes the program, not this one; before that, */
    bool acts;          /* it may change its directory and descriptors: what a name leads to */
    bool resets_ids;    /* it may take its real user for the effective one: what it may search */
    char *const *argv;
};

/* Whether the program is what `directory` itself leads to. */
static inline bool target_is_descriptor(const struct target *target) {
    return target->path[0] == '\0' && target->directory >= 0 && (target->flags & AT_EMPTY_PATH) != 0;
}

/* Whether the program is searched for in the directories of PATH. */
bool target_is_searched(const struct target *target);

/* Whether one of these directories is another one in another working directory or process. */
bool target_search_moves(const char *search_path);

/* Writes the path of the program into `path`, of TARGET_PATH_BYTES: found in `search_path` when it is to be searched, else as
 * named; for a descriptor, what /proc says it is. Returns 0, or a negative errno value when it is searched for and not found,
 * or its path is too long: what is in `path` then may lead to another program, as a name does in the working directory. No
 * allocation; safe between vfork and exec. */
long target_resolve(const struct target *target, const char *search_path, char *path);

/* Asks beforehand what exec would say: 0, or the negative errno value that it would fail with. `path` is what
 * target_resolve() made of `target`. Before Linux 6.14, and where a seccomp profile forbids the question, access and flags
 * are all that is looked at. Safe between vfork and exec. */
long executable(const struct target *target, const char *path);

#endif
