/* Passing the secrets on to a program that this one starts.
 *
 * The environment that a program hands to exec holds plaintext: copies of the strings the library pointed it at. It must
 * not reach the kernel like that, which would show it in /proc/PID/environ of the child. So the child gets placeholders
 * and a region of its own in a fresh descriptor, holding what this environment holds and no more.
 */
#ifndef STRONGROOM_CHILD_ENVIRONMENT_H
#define STRONGROOM_CHILD_ENVIRONMENT_H

#include "state.h"
#include "../shared/target.h"

/* What is to be executed. */
struct command {
    const char *path;   /* NULL: what the caller named, with its arguments */
    char *const *argv;
    char *const *list;  /* the environment */
    int *process;       /* NULL, or where a descriptor of the new process goes (pidfd_open(2)), which the caller closes; or
                           a negative errno value: that of pidfd_open(), -ECHILD where there is no new process */
};

typedef void command_function(void *context, const struct command *command);

/* Calls `call(context, command)` once, with the environment that the program `named` shall get instead of `list`:
 *
 * - An entry that is one of our strings, or equal to one, becomes a placeholder, and its text goes into the region. All
 *   other entries are passed as they are: what the program changed stays changed.
 * - LD_PRELOAD and STRONGROOM_REGION are added or adjusted; nothing else is.
 * - A program that may not have secrets gets the environment without those entries, without the region and without this
 *   library.
 * - A list that hands over another region, because the program makes a launch of its own, loses our secrets and keeps
 *   everything else.
 * - An environment without any of the secrets is passed as it is.
 * - Where the loader of the program would ignore the library, the command is strongroom-tracer (delivery.h).
 *
 * Returns 0, or a negative errno value when the program could not be executed, no region could be made, or another thread
 * changed the list meanwhile; `call` is not called then. What was made for the call is released when it returns, but for
 * one thing: in a child of vfork(), an environment of more than about 8,000 entries needs a mapping, which stays in the
 * parent when the child execs. Writes no global, takes no lock, takes at most 16 KiB of the stack (64 KiB in a child
 * before exec), and as much again for the tracer; safe between vfork and exec and in signal handlers. */
long child_environment_call(const struct target *named, char *const *list, command_function *call, void *context);

/* Whether child_environment_call() would change `list` for some program. */
bool child_environment_concerns(const struct state *state, char *const *list);

#endif
