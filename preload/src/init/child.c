#include "child.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "say.h"

enum { CANNOT_EXEC = 126, NOT_ON_PATH = 127 };

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

pid_t child_start(const struct child_setup *setup) {
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
