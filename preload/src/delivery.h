/* How a program that may have the secrets gets them. */
#ifndef STRONGROOM_DELIVERY_H
#define STRONGROOM_DELIVERY_H

#include "passing.h"

enum delivery {
    DELIVERY_LIBRARY, /* its loader loads the library; or what exec says of it is the answer */
    DELIVERY_TRACER,  /* it ignores the library: strongroom-tracer starts it, or says why it cannot have them */
    DELIVERY_SHELL,   /* not a program: the libc will have /bin/sh interpret it, and that one ignores the library */
    DELIVERY_NONE,    /* the kernel raises its privileges: it gets no secrets */
};

/* Looks at the program. `path` is what target_resolve() made of `target`. Returns one of the above, or a negative errno
 * value: that of exec where it would fail and the library is not to try it, for once the tracer is executed the caller
 * could not be told; or that of what kept it from looking. No allocation; safe between vfork and exec. */
long delivery_choose(const struct state *state, const struct target *target, const char *path);

/* Calls `call` with strongroom-tracer in the place of the program, and `list` as its environment. Returns 0, or a negative
 * errno value; where there is no tracer, for a program in another root directory perhaps, a line says so, and a process
 * that would have become the program ends with status 120 (fail.h). */
long delivery_by_tracer(const struct state *state, const struct target *target, const char *path,
                        enum delivery delivery, char *const *list, passing_function *call, void *context);

#endif
