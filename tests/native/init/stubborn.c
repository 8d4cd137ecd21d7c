/* stubborn NAME: prints "NAME ready PID GROUP PARENT" and can be ended by SIGKILL only. Prints "NAME SIGNAL" for what
 * it refuses. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv) {
    sigset_t all;
    int number;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    printf("%s ready %d %d %d\n", argc > 1 ? argv[1] : "child", getpid(), getpgrp(), getppid());
    fflush(stdout);
    while (sigwait(&all, &number) == 0) {
        printf("%s %d\n", argc > 1 ? argv[1] : "child", number);
        fflush(stdout);
    }
    return 1;
}
