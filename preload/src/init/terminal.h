/* Who has the foreground of the terminal.
 *
 * The child runs in a process group of its own, so that Ctrl-C and Ctrl-Z reach it and what it started, and not this
 * process. The terminal is standard input if that is our controlling terminal; without one, nothing here does anything.
 * SIGTTOU must be blocked, or tcsetpgrp(3) from the background stops the caller. */
#ifndef STRONGROOM_INIT_TERMINAL_H
#define STRONGROOM_INIT_TERMINAL_H

#include <stdbool.h>
#include <sys/types.h>

struct terminal {
    bool is_there;
    bool is_given; /* the child's group, or a group that the child chose, has the foreground from us */
};

/* Looks for the terminal. */
struct terminal terminal_find(void);

/* True when our own process group has the foreground. */
bool terminal_is_ours(const struct terminal *terminal);

/* Gives the foreground to a process group. */
void terminal_give(struct terminal *terminal, pid_t group);

/* Takes the foreground back if it is still given away. The group that has it now may be none that we know: a shell that
 * was killed leaves a job of its own there. */
void terminal_take_back(struct terminal *terminal);

/* Stops this process (its whole group when `with_group`) with one of SIGTSTP, SIGTTIN and SIGTTOU, as the terminal
 * would have, so that a shell with job control takes the terminal; returns once it was continued. Where nobody is there
 * to continue it (PID 1, or an orphaned process group) the kernel does not stop it: then the result is false. The
 * SIGCONT is left pending for the caller. */
bool terminal_stop_ourselves(struct terminal *terminal, int number, bool with_group);

#endif
