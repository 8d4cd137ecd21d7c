/* spawn_elsewhere CALL ACTION PROGRAM ARG...: starts the program by the function CALL, with an action that changes what its
 * name leads to, and ends as it does. Actions:
 *
 *     none            an object without any
 *     chdir:DIR       another working directory
 *     fchdir:DIR      the same by a descriptor
 *     open:N:FILE     the descriptor N leads to the file
 *     dup:N:FILE      the same, by a descriptor of the caller
 *     has:N:FILE      the caller has it open, to be closed by exec, and the action is another one
 */
#include <dlfcn.h>
#include <spawn.h>
#include <stdbool.h>

#include "check.h"

typedef int call_function(int *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                          char *const *, char *const *);

static const char *after(const char *text, const char *prefix) {
    size_t length = strlen(prefix);
    return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

/* Opens FILE of `N:FILE` and stores N. */
static int open_file(const char *text, int *number) {
    char *file;
    *number = (int)strtol(text, &file, 10);
    int fd = open(file + 1, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && fd != *number);
    return fd;
}

static void add_action(posix_spawn_file_actions_t *actions, const char *text) {
    const char *rest;
    int number;
    if ((rest = after(text, "chdir:")) != NULL) {
        CHECK(posix_spawn_file_actions_addchdir_np(actions, rest) == 0);
    } else if ((rest = after(text, "fchdir:")) != NULL) {
        int fd = open(rest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        CHECK(fd >= 0 && posix_spawn_file_actions_addfchdir_np(actions, fd) == 0);
    } else if ((rest = after(text, "open:")) != NULL) {
        number = atoi(rest);
        CHECK(posix_spawn_file_actions_addopen(actions, number, strchr(rest, ':') + 1, O_RDONLY, 0) == 0);
    } else if ((rest = after(text, "dup:")) != NULL) {
        int fd = open_file(rest, &number);
        CHECK(posix_spawn_file_actions_adddup2(actions, fd, number) == 0);
    } else if ((rest = after(text, "has:")) != NULL) {
        int fd = open_file(rest, &number);
        CHECK(dup3(fd, number, O_CLOEXEC) == number);
        CHECK(posix_spawn_file_actions_adddup2(actions, 1, 20) == 0);
    } else {
        CHECK(same(text, "none"));
    }
}

int main(int argc, char **argv) {
    CHECK(argc > 3);
    bool by_pidfd = after(argv[1], "pidfd_") != NULL;
    call_function *call;
    *(void **)&call = dlsym(RTLD_DEFAULT, argv[1]);
    CHECK(call != NULL);
    posix_spawn_file_actions_t actions;
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    add_action(&actions, argv[2]);
    int child = -1;
    int error = call(&child, argv[3], &actions, NULL, argv + 3, environ);
    CHECK(posix_spawn_file_actions_destroy(&actions) == 0);
    siginfo_t info = {0};
    if (error != 0) {
        printf("%s\n", strerror(error));
        CHECK(waitid(P_ALL, 0, &info, WEXITED) == -1 && errno == ECHILD); /* nothing is left of it */
        return 1;
    }
    CHECK(waitid(by_pidfd ? P_PIDFD : P_PID, (id_t)child, &info, WEXITED) == 0);
    return info.si_status;
}
