/* How it works.
 *
 * One thread, one loop, and no signal handler. All signals that matter are blocked from the start, and the loop takes them
 * one at a time (signals_take(), which also is the only place where it waits). So no code is interrupted, nothing needs to
 * be async-signal-safe, and between "is there anything to do?" and "wait" no signal can be missed. Each round does three
 * things, in this order:
 *
 *   pass_on()           one signal to the child, or to its group;
 *   reap()              some zombies: the child among them, or orphans that PID 1 has inherited;
 *   do_what_is_due()    what is due by the clock: SIGKILL after the stop timeout.
 *
 * Who is signalled. The child is the leader of a process group of its own. Without -g a signal goes to the child alone;
 * with it, and for what the terminal would have sent to the whole foreground group, to the group. Once the child has been
 * reaped, its number may be another process's, so from then on there is only the group, whose number the kernel keeps as
 * long as it has a member.
 *
 * How it ends.
 *
 *   running --stop signal passed on--> stopping --timeout--> SIGKILL sent
 *      |                                  |                      |
 *      +------------ child ends ----------+----------------------+
 *                        |
 *                        v
 *   without -g: done. With -g: SIGTERM to the rest of the group, unless it had the stop signal already; done when the
 *   group is empty, or the timeout is over, or there is none.
 *
 * The status is always the child's own. When this process ends as PID 1, the kernel kills whatever is left.
 *
 * Job control. A shell that started us sees one process and waits for it, while the terminal's keys act on the child's
 * group, which has the foreground. When the child is stopped by the terminal, this process stops itself in the same way
 * (terminal_stop_ourselves()), so that the shell takes the terminal back and shows its prompt; `fg` and `bg` continue us,
 * and their SIGCONT is passed on like any signal, to the whole group. Where no shell waits, as under `docker run -it`, a
 * stopped child could be continued by nobody: then it is continued at once.
 */
#include "supervise.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "say.h"
#include "signals.h"

enum { SIGNALLED = 128 };

/* This many children are reaped before signals are looked at again: a storm of orphans must not hold back a SIGTERM. */
enum { REAP_AT_ONCE = 64 };

enum { NEVER = -1 };

struct supervisor {
    const struct options *options;
    pid_t child; /* also the number of its process group */
    struct terminal *terminal;
    bool has_ended;
    int status;            /* of the child, once it has ended */
    bool is_stopping;      /* a stop signal was passed on */
    bool was_killed;       /* because the stop timeout was over */
    bool stop_was_sent;    /* SIGTSTP and the like came as a signal and not from the terminal */
    bool may_have_zombies; /* the last look for zombies ended before there were none left */
    /* Times of the monotonic clock, or NEVER. The next thing that is due by time gets a field here and a line in
     * next_due_ms(). */
    int64_t kill_at_ms;
};

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t next_due_ms(const struct supervisor *self) {
    return self->kill_at_ms;
}

static bool is_terminal_stop(int number) {
    return number == SIGTSTP || number == SIGTTIN || number == SIGTTOU;
}

static void tell(const struct supervisor *self, const char *what, int number, const char *more) {
    if (self->options->is_verbose) {
        char name[SIGNAL_NAME_BYTES];
        SAY("init: ", what, signal_name(name, number), more);
    }
}

static bool group_is_empty(const struct supervisor *self) {
    return kill(-self->child, 0) < 0 && errno == ESRCH;
}

static void set_deadline(struct supervisor *self) {
    if (self->options->stop_timeout_ms > 0 && self->kill_at_ms == NEVER && !self->was_killed) {
        self->kill_at_ms = now_ms() + self->options->stop_timeout_ms;
    }
}

static bool send(const struct supervisor *self, const siginfo_t *info, bool to_group) {
    if (self->has_ended) {
        return signal_pass_on_to_group(info, self->child); /* the PID may be somebody else's by now */
    }
    if (to_group && signal_pass_on_to_group(info, self->child)) {
        return true;
    }
    /* A child that left its group: the group may have no member any longer. */
    return (!to_group || errno == ESRCH) && signal_pass_on(info, self->child);
}

/* One signal for the child. */
static void pass_on(struct supervisor *self, const siginfo_t *info) {
    int number = info->si_signo;
    bool to_group = self->options->to_group;
    bool is_continue = number == SIGCONT && self->terminal->is_there; /* a shell's `fg` or `bg` */
    if ((is_continue || info->si_code == SI_KERNEL) && terminal_is_ours(self->terminal)) {
        /* We are in the foreground now, and it is the child who should be. A key or a change of size tells us so when
         * `fg` took the job from the background, where it ran: then the shell sends no SIGCONT. */
        terminal_give(self->terminal, self->child);
        to_group = true;
    }
    to_group = to_group || is_continue; /* Ctrl-Z stopped the whole group */
    if (is_terminal_stop(number)) {
        self->stop_was_sent = true;
    } else if (number == SIGCONT) {
        self->stop_was_sent = false;
    }
    if (!send(self, info, to_group)) {
        tell(self, "could not pass on ", number, errno == ESRCH ? ": the child has ended" : ": not permitted");
        return;
    }
    tell(self, "passed on ", number, "");
    if ((self->options->stop_signals & signal_bit(number)) != 0) {
        self->is_stopping = true;
        set_deadline(self);
    }
}

/* The child was stopped. Where a shell with job control waits for us, it has to learn of that. */
static void child_stopped(const struct supervisor *self, int number) {
    tell(self, "the child was stopped by ", number, "");
    if (!is_terminal_stop(number)) {
        return; /* SIGSTOP: somebody meant the child and nobody else */
    }
    if (number != SIGTSTP && terminal_is_ours(self->terminal)) {
        /* It asked for the terminal while we had the foreground: we were brought there without a SIGCONT. */
        terminal_give(self->terminal, self->child);
        kill(-self->child, SIGCONT);
        return;
    }
    bool from_terminal = self->terminal->is_there && !self->stop_was_sent;
    if (!terminal_stop_ourselves(self->terminal, number, from_terminal) && from_terminal && number == SIGTSTP) {
        /* Ctrl-Z with nobody there to continue us: it has no effect, as for any orphaned process group (POSIX, General
         * Terminal Interface, 11.1.4). Otherwise `docker run -it` would hang. */
        kill(-self->child, SIGCONT);
    }
}

static void child_ended(struct supervisor *self, int wait_status) {
    self->has_ended = true;
    self->status = WIFSIGNALED(wait_status) ? SIGNALLED + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
    if (self->options->is_verbose) {
        char text[NUMBER_BYTES];
        SAY("init: the child has ended with status ", number_text(text, self->status));
    }
    if (self->options->to_group && !group_is_empty(self)) {
        if (!self->is_stopping) {
            kill(-self->child, SIGTERM);
            tell(self, "the rest of the group was sent ", SIGTERM, "");
        }
        set_deadline(self);
    }
}

static void reap(struct supervisor *self) {
    self->may_have_zombies = true;
    for (int count = 0; count < REAP_AT_ONCE; count++) {
        int wait_status;
        pid_t pid = waitpid(-1, &wait_status, WNOHANG | WUNTRACED);
        if (pid <= 0) {
            self->may_have_zombies = false;
            return;
        }
        if (pid != self->child || self->has_ended) {
            continue;
        }
        if (WIFSTOPPED(wait_status)) {
            child_stopped(self, WSTOPSIG(wait_status));
        } else {
            child_ended(self, wait_status);
            return; /* its status does not wait for orphans */
        }
    }
}

static void do_what_is_due(struct supervisor *self) {
    if (self->kill_at_ms != NEVER && now_ms() >= self->kill_at_ms) {
        self->kill_at_ms = NEVER;
        siginfo_t info = {.si_signo = SIGKILL};
        send(self, &info, self->options->to_group);
        tell(self, "the stop timeout is over: sent ", SIGKILL, "");
        self->was_killed = true;
    }
}

/* With -g and a stop timeout the rest of the group has until then; otherwise nothing is waited for. */
static bool is_done(const struct supervisor *self) {
    return self->has_ended && (self->kill_at_ms == NEVER || group_is_empty(self));
}

static int64_t time_to_wait_ms(const struct supervisor *self) {
    int64_t due_ms = next_due_ms(self);
    if (self->may_have_zombies) {
        return 0;
    }
    if (due_ms == NEVER) {
        return -1;
    }
    int64_t wait_ms = due_ms - now_ms();
    return wait_ms > 0 ? wait_ms : 0;
}

int supervise(const struct options *options, pid_t child, struct terminal *terminal) {
    struct supervisor self = {
        .options = options, .child = child, .terminal = terminal, .kill_at_ms = NEVER};
    while (!is_done(&self)) {
        siginfo_t info;
        int number = signals_take(signals_passed_on() | signal_bit(SIGCHLD), &info, time_to_wait_ms(&self));
        if (number == SIGCHLD) {
            /* The kernel hands out the lowest number first: look behind it. */
            number = signals_take(signals_passed_on(), &info, 0);
        }
        /* One signal and some zombies in each round: neither waits for a flood of the other to end. */
        if (number != 0) {
            pass_on(&self, &info);
        }
        reap(&self);
        do_what_is_due(&self);
    }
    return self.status;
}
