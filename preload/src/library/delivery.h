/* How a program that may have the secrets gets them. */
#ifndef STRONGROOM_DELIVERY_H
#define STRONGROOM_DELIVERY_H

#include "../shared/program.h"
#include "state.h"
#include "../shared/target.h"

/* _PATH_BSHELL, which execvp() of glibc takes. */
#define DELIVERY_SHELL_PATH "/bin/sh"

enum delivery {
    DELIVERY_LIBRARY, /* its loader loads the library; or what exec says of it is the answer */
    DELIVERY_TRACER,  /* it ignores the library: strongroom-tracer starts it, or says why it cannot have them */
    DELIVERY_LOOK,    /* the process that becomes it finds out what it is: strongroom-tracer looks there */
    DELIVERY_SHELL,   /* not a program: the libc will have /bin/sh interpret it, and that one ignores the library */
    DELIVERY_NONE,    /* the kernel raises its privileges: it gets no secrets */
};

/* Looks at the program. `path` is what target_resolve() made of `target` and `search_path`, or NULL where it found nothing.
 * Returns one of the above, or a negative errno value: that of exec where it would fail and the library is not to try it, for
 * once the tracer is executed the caller could not be told; or that of what kept it from looking. No allocation; safe
 * between vfork and exec. */
long delivery_choose(const struct state *state, const struct target *target, const char *search_path,
                     const char *path);

#endif
