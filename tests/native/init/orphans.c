/* orphans COUNT      make COUNT orphans that end at once; print "reaped COUNT" when none of them is left, even as zombie
 * orphans parent     make one orphan; it prints "parent PID" with its new parent
 * orphans storm      print "storming"; make orphans until killed
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void pause_shortly(void) {
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Forks twice; the orphan runs on with the result 0, the caller gets the PID of the process between, already gone. */
static pid_t make_orphan(pid_t *pid_of_orphan) {
    pid_t between = fork();
    if (between == 0) {
        pid_t orphan = fork();
        if (orphan != 0) {
            if (pid_of_orphan != NULL) {
                *pid_of_orphan = orphan;
            }
            _exit(orphan < 0);
        }
        return 0;
    }
    int status;
    if (between < 0 || waitpid(between, &status, 0) != between || status != 0) {
        perror("make_orphan");
        exit(1);
    }
    return between;
}

static int show_parent(void) {
    pid_t me = getpid();
    int go[2], done[2];
    char byte;
    if (pipe(go) != 0 || pipe(done) != 0) {
        return 1;
    }
    pid_t between = make_orphan(NULL);
    if (between == 0) {
        char text[64];
        if (read(go[0], &byte, 1) != 1) {
            return 1;
        }
        snprintf(text, sizeof text, "parent %d of an orphan, not %d\n", getppid(), me);
        return write(STDOUT_FILENO, text, strlen(text)) < 0 || write(done[1], "x", 1) != 1;
    }
    return write(go[1], "x", 1) != 1 || read(done[0], &byte, 1) != 1;
}

static int make_many(int count) {
    pid_t *pids = mmap(NULL, (size_t)count * sizeof *pids, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (pids == MAP_FAILED) {
        return 1;
    }
    for (int i = 0; i < count; i++) {
        if (make_orphan(&pids[i]) == 0) {
            _exit(0);
        }
    }
    for (int i = 0; i < count; i++) {
        while (kill(pids[i], 0) == 0 || errno != ESRCH) {
            pause_shortly();
        }
    }
    printf("reaped %d\n", count);
    return 0;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "parent") == 0) {
        return show_parent();
    }
    if (strcmp(what, "storm") == 0) {
        puts("storming");
        fflush(stdout);
        for (;;) {
            if (make_orphan(NULL) == 0) {
                _exit(0);
            }
        }
    }
    return make_many(atoi(what));
}
