/* strongroom-init: PID 1 of a container under `strongroom run --supervise`. docs/supervise.md tells what it does.
 *
 * It holds no secret and reads nothing but its command line. What is here happens once, in this order. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "child.h"
#include "options.h"
#include "say.h"
#include "signals.h"
#include "supervise.h"
#include "terminal.h"

enum { CANNOT_START = 1 };

static void ask_for_parent_death_signal(int number, pid_t parent) {
    prctl(PR_SET_PDEATHSIG, number);
    if (getppid() != parent) {
        kill(getpid(), number); /* it ended before we asked */
    }
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
    pid_t child = child_start(&setup);
    if (child < 0) {
        SAY("error: cannot start a process: ", strerror(errno));
        return CANNOT_START;
    }
    let_go();

    int status = supervise(&options, child, &terminal);
    terminal_take_back(&terminal);
    return options.remap[status];
}
