#include "terminal.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "signals.h"

bool terminal_is_ours(void) {
    return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

void terminal_give(pid_t group) {
    tcsetpgrp(STDIN_FILENO, group);
}

void terminal_take_back(pid_t ended_group) {
    pid_t foreground = tcgetpgrp(STDIN_FILENO);
    /* A shell that was killed leaves a job of its own in the foreground, perhaps one that has ended as well. */
    bool is_gone = foreground > 0 && kill(-foreground, 0) < 0 && errno == ESRCH;
    if (foreground == ended_group || is_gone) {
        tcsetpgrp(STDIN_FILENO, getpgrp());
    }
}

bool terminal_stop_ourselves(int number, bool with_group) {
    if (getpid() == 1) {
        return false;
    }
    if ((signals_pending() & signal_bit(SIGCONT)) != 0) {
        return true; /* continued already; stopping now would throw that SIGCONT away */
    }
    kill(with_group ? 0 : getpid(), number);
    signal_let_through(number); /* the process stops here */
    return (signals_pending() & signal_bit(SIGCONT)) != 0;
}
