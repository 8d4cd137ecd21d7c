/* Many threads start the program of the argument at once, in every way that returns; all must end well, and the
 * dispositions that system() changes meanwhile must be back. */
#include <pthread.h>
#include <signal.h>
#include <spawn.h>

#include "check.h"

enum { THREADS = 6, ROUNDS = 15 };

static const char *program;

static void *start(void *unused) {
    (void)unused;
    for (int i = 0; i < ROUNDS; i++) {
        char *argv[] = {(char *)program, NULL};
        char line[64] = "";
        int status;
        pid_t child;
        CHECK(posix_spawn(&child, program, NULL, NULL, argv, environ) == 0);
        CHECK(waitpid(child, &status, 0) == child && status == 0);
        CHECK(system(program) == 0);
        FILE *stream = popen(program, "r");
        CHECK(stream != NULL && fgets(line, sizeof line, stream) != NULL && same(line, "ok\n"));
        CHECK(pclose(stream) == 0);
    }
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    program = argv[1];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, start, NULL) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    struct sigaction action;
    CHECK(sigaction(SIGINT, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
    CHECK(sigaction(SIGQUIT, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
    sigset_t mask;
    CHECK(sigprocmask(SIG_BLOCK, NULL, &mask) == 0 && !sigismember(&mask, SIGCHLD));
    puts("all ok");
    return 0;
}
