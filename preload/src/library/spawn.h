/* Starting a child with the secrets of an environment passed on. */
#ifndef STRONGROOM_SPAWN_H
#define STRONGROOM_SPAWN_H

#include <stdbool.h>

/* posix_spawn() of the libc, or posix_spawnp() when `search` is set, with `list` as child_environment.h changes it. Returns
 * 0 or an errno value. */
int spawn_child(int *pid, const char *path, bool search, const void *actions, const void *attributes,
                char *const *argv, char *const *list);

/* Sets the errno of the calling thread from `result`, if that is a negative errno value; else leaves it. */
void spawn_set_errno(long result);

#endif
