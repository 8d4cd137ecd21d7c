/* Starts the program of the argument again and again, while another thread takes a secret from the environment and puts it
 * back. Where that is noticed the call fails; the program, which prints the secret, has it or not, and never empty. */
#include <pthread.h>
#include <spawn.h>
#include <stdbool.h>

#include "check.h"

enum { ROUNDS = 150 };

static char **place;
static char *entry;
static bool done_starting;

static void *change(void *unused) {
    (void)unused;
    static char other[] = "OTHER=1";
    while (!__atomic_load_n(&done_starting, __ATOMIC_RELAXED)) {
        __atomic_store_n(place, other, __ATOMIC_RELAXED);
        __atomic_store_n(place, entry, __ATOMIC_RELAXED);
    }
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    char *words[] = {argv[1], (char *)"DB_PASSWORD", NULL};
    for (place = environ; *place != NULL && strncmp(*place, "DB_PASSWORD=", 12) != 0; place++) {
    }
    CHECK((entry = *place) != NULL);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, change, NULL) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        pid_t child;
        int error = posix_spawn(&child, argv[1], NULL, NULL, words, environ);
        CHECK(error == 0 || error == EAGAIN);
        int status = 0;
        CHECK(error != 0 || (waitpid(child, &status, 0) == child && status == 0));
    }
    __atomic_store_n(&done_starting, true, __ATOMIC_RELAXED);
    CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}
