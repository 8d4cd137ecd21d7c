#include "terminal.h"

#include <signal.h>
#include <unistd.h>

#include "signals.h"

struct terminal terminal_find(void) {
    return (struct terminal){.is_there = tcgetpgrp(STDIN_FILENO) >= 0};
}

bool terminal_is_ours(const struct terminal *terminal) {
    return terminal->is_there && tcgetpgrp(STDIN_FILENO) == getpgrp();
}

void terminal_give(struct terminal *terminal, pid_t group) {
    terminal->is_given = tcsetpgrp(STDIN_FILENO, group) == 0;
}

void terminal_take_back(struct terminal *terminal) {
    if (terminal->is_given) {
        tcsetpgrp(STDIN_FILENO, getpgrp());
        terminal->is_given = false;
    }
}

bool terminal_stop_ourselves(struct terminal *terminal, int number, bool with_group) {
    if (getpid() == 1) {
        return false;
    }
    if ((signals_pending() & signal_bit(SIGCONT)) != 0) {
        return true; /* continued already; stopping now would throw that SIGCONT away */
    }
    kill(with_group ? 0 : getpid(), number);
    signal_let_through(number); /* the process stops here */
    bool was_stopped = (signals_pending() & signal_bit(SIGCONT)) != 0;
    if (was_stopped) {
        terminal->is_given = false; /* whoever continued us had it, and says by where we are now who has it next */
    }
    return was_stopped;
}
