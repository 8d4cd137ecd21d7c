/* report_signals NAME [STATUS_ON_TERM]
 *
 * Prints "NAME ready PID GROUP PARENT", then "NAME SIGNAL VALUE" for each signal that comes, whatever its number: the
 * kernel's calls are made directly, as a libc hides two signals. With a second argument SIGTERM ends it with that
 * status. SIGUSR2 ends it with 0. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv) {
    uint64_t all = ~(uint64_t)0;
    const char *name = argc > 1 ? argv[1] : "child";
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof all);
    printf("%s ready %d %d %d\n", name, getpid(), getpgrp(), getppid());
    fflush(stdout);
    for (;;) {
        siginfo_t info;
        memset(&info, 0, sizeof info);
        long number = syscall(SYS_rt_sigtimedwait, &all, &info, NULL, sizeof all);
        if (number <= 0) {
            continue;
        }
        printf("%s %ld %d\n", name, number, info.si_code == SI_QUEUE ? info.si_value.sival_int : 0);
        fflush(stdout);
        if (number == SIGTERM && argc > 2) {
            return atoi(argv[2]);
        }
        if (number == SIGUSR2) {
            return 0;
        }
    }
}
