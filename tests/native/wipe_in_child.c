/* Workers read the password and wipe it. Neither the parent nor the workers after them lose it. The first argument says how
 * workers are made: "fork", "clone" (by a raw system call), "grandchild", "changed" (the parent has made a list of its own
 * before), "early" (the pointer that is wiped was got before fork, another secret is asked for after it), "threads". */
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>

#include "check.h"

enum { WORKERS = 3, THREADS = 4 };

static char *early;

static void wipe(char *value) {
    memset(value, 0, strlen(value));
}

static void *ask_and_write(void *name) {
    for (int i = 0; i < 1000; i++) {
        char *value = getenv(name);
        CHECK(value != NULL && strlen(value) == strlen(KEY));
        value[0] = 'K';
    }
    return NULL;
}

static void work(const char *way) {
    if (same(way, "early")) {
        CHECK(same(getenv("API_KEY"), KEY));
        wipe(early);
        return;
    }
    if (same(way, "threads")) {
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++) {
            CHECK(pthread_create(&threads[i], NULL, ask_and_write, "API_KEY") == 0);
        }
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
        }
    }
    char *password = getenv("DB_PASSWORD");
    CHECK(same(password, PASSWORD));
    wipe(password);
    CHECK(same(getenv("DB_PASSWORD"), ""));
    CHECK(strlen(getenv("LONG_SECRET")) == LONG_BYTES);
}

static pid_t start(const char *way) {
    return same(way, "clone") ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : fork();
}

static void run_worker(const char *way, int depth) {
    pid_t child = start(way);
    CHECK(child >= 0);
    if (child == 0) {
        if (depth > 0) {
            CHECK(same(getenv("DB_PASSWORD"), PASSWORD)); /* a copy, which the next one must not share */
            run_worker(way, depth - 1);
            CHECK(same(getenv("DB_PASSWORD"), PASSWORD));
        } else {
            work(way);
        }
        fflush(stdout);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    early = getenv("DB_PASSWORD");
    if (same(argv[1], "changed")) {
        CHECK(setenv("NEW", "new", 1) == 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        run_worker(argv[1], same(argv[1], "grandchild") ? 2 : 0);
        CHECK(same(early, PASSWORD) && same(getenv("DB_PASSWORD"), PASSWORD) && same(getenv("API_KEY"), KEY));
    }
    return done();
}
