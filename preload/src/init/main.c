/* strongroom-init: PID 1 of a container under `strongroom run --supervise`. docs/supervise.md tells what it does.
 *
 * It holds no secret and reads nothing but its command line. What is here happens once, in this order. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "options.h"
#include "say.h"
#include "signals.h"
#include "supervise.h"
#include "terminal.h"

enum { CANNOT_START = 1, CANNOT_EXEC = 126, NOT_ON_PATH = 127 };

static void ask_for_parent_death_signal(int number, pid_t parent) {
    prctl(PR_SET_PDEATHSIG, number);
    if (getppid() != parent) {
        kill(getpid(), number); /* it ended before we asked */
    }
}

/* What the child must find as we found it, and what it is given. */
struct child_setup {
    char **command;
    signal_set inherited_mask;
    struct sigaction inherited_sigchld; /* the one disposition that we change */
    struct terminal *terminal;          /* the child gets the foreground, if it is ours to give */
    bool dies_with_us;                  /* SIGKILL when this process ends */
};

__attribute__((noreturn)) static void become(const struct child_setup *setup, bool gets_terminal, pid_t parent) {
    setpgid(0, 0);
    if (gets_terminal) {
        /* Here rather than in the parent: the command must not run a moment in the background, and an init that is
         * itself the child of an init keeps the order right. SIGTTOU is still blocked. */
        terminal_give(setup->terminal, getpid());
    }
    if (setup->dies_with_us) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(128 + SIGKILL); /* it ended before we asked */
        }
    }
    sigaction(SIGCHLD, &setup->inherited_sigchld, NULL);
    signals_block_only(setup->inherited_mask);

    execvp(setup->command[0], setup->command);
    int reason = errno;
    bool is_missing = reason == ENOENT || reason == ENOTDIR;
    const char *missing = strchr(setup->command[0], '/') != NULL ? "no such file" : "command not found";
    SAY("error: ", setup->command[0], ": ", is_missing ? missing : strerror(reason));
    _exit(is_missing ? NOT_ON_PATH : CANNOT_EXEC);
}

/* Forks; the child gets a process group of its own and becomes the command, looked up on PATH. When that fails it
 * writes one line and ends with 127 (no such command) or 126 (POSIX, Shell Command Language, 2.8.2). Returns its PID,
 * or -1 with errno. */
static pid_t start_child(const struct child_setup *setup) {
    pid_t parent = getpid();
    bool gets_terminal = terminal_is_ours(setup->terminal);
    pid_t child = fork();
    if (child == 0) {
        become(setup, gets_terminal, parent);
    }
    if (child > 0) {
        setup->terminal->is_given = gets_terminal; /* the child gives it, in its own copy of this */
        setpgid(child, child); /* whoever of the two comes first; the other's call changes nothing, or fails */
    }
    return child;
}

/* Lets go of what only the child should have: a socket that it closes must be closed, a directory that it leaves free
 * to be unmounted. 0 to 2 stay: programs write to /proc/1/fd/1, and the terminal is there. */
static void let_go(void) {
#ifdef SYS_close_range
    syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0);
#endif
    int ignored = chdir("/");
    (void)ignored;
}

int main(int argc, char **argv) {
    (void)argc;
    /* Before anything else: a signal that arrives from now on waits until there is a child to have it. */
    signal_set inherited_mask = signals_block_only(signals_passed_on() | signal_bit(SIGCHLD));
    pid_t parent = getppid();

    struct options options;
    if (!options_read(&options, argv)) {
        return USAGE_STATUS;
    }
    if (options.command == NULL) {
        return 0;
    }
    if (options.parent_death_signal != 0) {
        ask_for_parent_death_signal(options.parent_death_signal, parent);
    }
    if (getpid() != 1) {
        prctl(PR_SET_CHILD_SUBREAPER, 1); /* orphans come to us all the same */
    }

    struct terminal terminal = terminal_find();
    struct child_setup setup = {
        .command = options.command,
        .inherited_mask = inherited_mask,
        .terminal = &terminal,
        .dies_with_us = options.parent_death_signal == SIGKILL,
    };
    /* A launcher may have left SIGCHLD ignored; the kernel would then throw the child's status away. */
    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL}, &setup.inherited_sigchld);
    pid_t child = start_child(&setup);
    if (child < 0) {
        SAY("error: cannot start a process: ", strerror(errno));
        return CANNOT_START;
    }
    let_go();

    int status = supervise(&options, child, &terminal);
    terminal_take_back(&terminal);
    return options.remap[status];
}
