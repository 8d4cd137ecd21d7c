/* Asking beforehand what exec would say of a program. */
#ifndef STRONGROOM_EXECUTABLE_H
#define STRONGROOM_EXECUTABLE_H

#include "target.h"

/* 0, or the negative errno value that exec would fail with; `path` is what target_resolve() made of `target`. Before Linux
 * 6.14, and where a seccomp profile forbids the question, access and flags are all that is looked at. Safe between vfork
 * and exec. */
long executable(const struct target *target, const char *path);

#endif
