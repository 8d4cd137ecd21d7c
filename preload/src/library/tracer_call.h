/* Having strongroom-tracer started instead of a program. */
#ifndef STRONGROOM_TRACER_CALL_H
#define STRONGROOM_TRACER_CALL_H

#include "delivery.h"
#include "child_environment.h"

struct tracer_call {
    const struct state *state;
    const struct target *target;
    const char *path;        /* what target_resolve() made of `target` and */
    const char *search_path;
    enum delivery delivery;  /* one of those by the tracer */
    char *const *list;       /* the environment */
};

/* Calls `call` with strongroom-tracer instead of the program. Returns 0, or a negative errno value; where there is no
 * tracer, for a program in another root directory perhaps, a line says so, and a process that would have become the program
 * ends with status 120 (fail.h).
 *
 * Where the tracer has to look by itself, this waits for what it finds, as posix_spawn() waits for exec. `call` may have
 * been made, and left a child that has ended or is about to, when a negative value is returned then. */
long tracer_call(const struct tracer_call *tracer_call, command_function *call, void *context);

#endif
