/* When no descriptor is free no region can be made for a child; nothing is started then, and errno says why. */
#include <spawn.h>
#include <sys/resource.h>

#include "check.h"

int main(int argc, char **argv) {
    CHECK(argc == 2);
    struct rlimit before;
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    struct rlimit none = {3, before.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    char *list[] = {argv[1], NULL};
    pid_t child;
    CHECK(execv(argv[1], list) == -1 && errno == EMFILE);
    CHECK(execvp(argv[1], list) == -1 && errno == EMFILE);
    CHECK(posix_spawn(&child, argv[1], NULL, NULL, list, environ) == EMFILE);
    CHECK(system("true") == -1 && errno == EMFILE);
    CHECK(popen("true", "r") == NULL && errno == EMFILE);
    /* Room for files, but below the numbers that a region may have. */
    struct rlimit few = {64, before.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    CHECK(execv(argv[1], list) == -1 && errno == EMFILE);
    CHECK(same(getenv("DB_PASSWORD"), PASSWORD));
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    return done();
}
