#define _GNU_SOURCE
#include "signals.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* By number; the same on x86-64 and aarch64 (signal(7)). */
static const char NAMES[][8] = {
    "",     "HUP",  "INT",    "QUIT", "ILL",  "TRAP", "ABRT", "BUS",  "FPE",  "KILL", "USR1",
    "SEGV", "USR2", "PIPE",   "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN",
    "TTOU", "URG",  "XCPU",   "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR",  "SYS",
};
_Static_assert(sizeof NAMES / sizeof NAMES[0] == SIGSYS + 1, "one name for each signal below the real-time ones");

signal_set signals_passed_on(void) {
    signal_set faults = signal_bit(SIGFPE) | signal_bit(SIGILL) | signal_bit(SIGSEGV) | signal_bit(SIGBUS) |
                        signal_bit(SIGTRAP) | signal_bit(SIGSYS);
    return ~(faults | signal_bit(SIGKILL) | signal_bit(SIGSTOP) | signal_bit(SIGCHLD));
}

signal_set signals_block_only(signal_set blocked) {
    signal_set earlier = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &blocked, &earlier, sizeof blocked);
    return earlier;
}

void signal_let_through(int number) {
    signal_set unblocked = signal_bit(number);
    signal_set earlier = 0;
    syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &unblocked, &earlier, sizeof unblocked);
    signals_block_only(earlier);
}

signal_set signals_pending(void) {
    signal_set pending = 0;
    syscall(SYS_rt_sigpending, &pending, sizeof pending);
    return pending;
}

int signals_take(signal_set wanted, siginfo_t *info, int64_t timeout_ms) {
    struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000};
    memset(info, 0, sizeof *info);
    long number = syscall(SYS_rt_sigtimedwait, &wanted, info, timeout_ms < 0 ? NULL : &timeout, sizeof wanted);
    return number < 0 ? 0 : (int)number;
}

bool signal_pass_on(const siginfo_t *info, pid_t to) {
    if (info->si_code == SI_QUEUE) {
        siginfo_t queued = *info;
        queued.si_pid = getpid();
        queued.si_uid = getuid();
        if (syscall(SYS_rt_sigqueueinfo, to, info->si_signo, &queued) == 0) {
            return true;
        }
        /* Refused with EAGAIN when the receiver's queue is full, which kill(2) is not. */
    }
    return kill(to, info->si_signo) == 0;
}

bool signal_pass_on_to_group(const siginfo_t *info, pid_t group) {
    return kill(-group, info->si_signo) == 0;
}

/* A number of one or two digits and nothing else, or -1. */
static int small_number(const char *text) {
    int number = 0;
    if (*text == '\0' || strlen(text) > 2) {
        return -1;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') {
            return -1;
        }
        number = number * 10 + (*text - '0');
    }
    return number;
}

int signal_number(const char *text) {
    int number = small_number(text);
    if (number >= 0) {
        return number <= LAST_SIGNAL ? number : 0;
    }
    if (strncasecmp(text, "SIG", 3) == 0) {
        text += 3;
    }
    for (number = 1; number <= SIGSYS; number++) {
        if (strcasecmp(text, NAMES[number]) == 0) {
            return number;
        }
    }
    bool from_first = strncasecmp(text, "RTMIN", 5) == 0;
    if (!from_first && strncasecmp(text, "RTMAX", 5) != 0) {
        return 0;
    }
    int distance = 0;
    if (text[5] != '\0') {
        distance = text[5] == (from_first ? '+' : '-') ? small_number(text + 6) : -1;
    }
    if (distance < 0 || distance > LAST_SIGNAL - FIRST_REALTIME_SIGNAL) {
        return 0;
    }
    return from_first ? FIRST_REALTIME_SIGNAL + distance : LAST_SIGNAL - distance;
}

const char *signal_name(char text[SIGNAL_NAME_BYTES], int number) {
    char *at = stpcpy(text, "SIG");
    if (number >= 1 && number <= SIGSYS) {
        strcpy(at, NAMES[number]);
        return text;
    }
    int distance = number - FIRST_REALTIME_SIGNAL;
    at = stpcpy(at, "RTMIN");
    *at++ = distance < 0 ? '-' : '+';
    distance = distance < 0 ? -distance : distance;
    if (distance >= 10) {
        *at++ = (char)('0' + distance / 10);
    }
    *at++ = (char)('0' + distance % 10);
    *at = '\0';
    return text;
}
