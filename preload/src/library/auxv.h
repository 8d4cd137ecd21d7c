/* What the kernel told this process about itself. */
#ifndef STRONGROOM_AUXV_H
#define STRONGROOM_AUXV_H

#include <stdbool.h>

/* Whether the process gained privileges at exec (AT_SECURE); true as well when the kernel does not say. */
bool auxv_is_secure(void);

/* The entry of a type (linux/auxvec.h); false when the kernel does not give it. */
bool auxv_find(unsigned long type, unsigned long *value);

#endif
