/* Starting the one child. */
#ifndef STRONGROOM_INIT_CHILD_H
#define STRONGROOM_INIT_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "signals.h"
#include "terminal.h"

/* What the child must find as we found it, and what it is given. */
struct child_setup {
    char **command;
    signal_set inherited_mask;
    struct sigaction inherited_sigchld; /* the one disposition that we change */
    struct terminal *terminal;          /* the child gets the foreground, if it is ours to give */
    bool dies_with_us;                  /* SIGKILL when this process ends */
};

/* Forks; the child gets a process group of its own and becomes the command, looked up on PATH. When that fails it
 * writes one line and ends with 127 (no such command) or 126 (POSIX, Shell Command Language, 2.8.2). Returns its PID,
 * or -1 with errno. */
pid_t child_start(const struct child_setup *setup);

#endif
