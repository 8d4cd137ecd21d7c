/* with_signals [block N | ignore N]... -- COMMAND [ARG...]
 *
 * Execs COMMAND with these signals blocked or ignored. Everything else is left as found. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int at = 1;
    sigset_t blocked;
    sigemptyset(&blocked);
    for (; at + 1 < argc && strcmp(argv[at], "--") != 0; at += 2) {
        int number = atoi(argv[at + 1]);
        if (strcmp(argv[at], "block") == 0) {
            sigaddset(&blocked, number);
        } else {
            signal(number, SIG_IGN);
        }
    }
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    execvp(argv[at + 1], argv + at + 1);
    perror(argv[at + 1]);
    return 126;
}
