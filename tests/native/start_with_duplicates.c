/* Starts env(1) as a server does whose client may add to the environment of its helper: LD_PRELOAD, STRONGROOM_REGION,
 * STRONGROOM_CHILDREN and STRONGROOM_DUMPABLE are in it several times, and each later value is long. The first argument says by which call, the
 * second how many bytes the later values have. Prints "alive" when the call returns to a frame that is whole. */
#include <spawn.h>

#include "check.h"

enum { COPIES = 3 };

static char *variable(const char *name, const char *value, size_t filling) {
    size_t head = strlen(name) + 1 + strlen(value) + 1;
    char *entry = malloc(head + filling + 1);
    CHECK(entry != NULL);
    sprintf(entry, "%s=%s:", name, value);
    memset(entry + head, 'A', filling);
    entry[head + filling] = '\0';
    return entry;
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    size_t filling = (size_t)atol(argv[2]);
    const char *library = getenv("LD_PRELOAD");
    char password[64];
    snprintf(password, sizeof password, "DB_PASSWORD=%s", getenv("DB_PASSWORD"));
    char *list[4 + 4 * COPIES] = {password, "LD_PRELOAD=", "STRONGROOM_REGION="};
    size_t count = 3;
    for (int i = 0; i < COPIES; i++) {
        list[count++] = variable("LD_PRELOAD", library, filling);
        list[count++] = variable("STRONGROOM_REGION", "memfd-secret", filling);
        list[count++] = variable("STRONGROOM_CHILDREN", "inherit", filling);
        list[count++] = variable("STRONGROOM_DUMPABLE", "1", filling);
    }
    list[count] = NULL;

    char *env[] = {"/usr/bin/env", NULL};
    pid_t child;
    int status;
    if (same(argv[1], "execve")) {
        execve(env[0], env, list);
        return 1;
    }
    if (same(argv[1], "vfork")) {
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
        child = vfork();
        if (child == 0) {
            execve(env[0], env, list);
            _exit(127);
        }
    } else {
        CHECK(posix_spawn(&child, env[0], NULL, NULL, env, list) == 0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    puts("alive");
    return 0;
}
