/* posix_spawn() of a libc in a process where another thread starts a program at the same moment: that one, which lives as long
 * as this process, has each descriptor that was open and inheritable. What is asked for is not started: by SPAWN=fails there
 * is EAGAIN, else a program that ends at once. */
#include <dlfcn.h>
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef int spawn_function(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                           char *const *, char *const *);

spawn_function posix_spawn;

static void start_holder(void) {
    int ends[2];
    if (pipe(ends) != 0) {
        abort();
    }
    pid_t between = fork();
    if (between == 0) {
        if (fork() == 0) {
            char nothing;
            close(ends[1]);
            (void)!read(ends[0], &nothing, 1); /* until the other end is gone */
        }
        _exit(0);
    }
    close(ends[0]);
    waitpid(between, NULL, 0);
}

int posix_spawn(pid_t *child, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]) {
    (void)path;
    (void)actions;
    start_holder();
    if (strcmp(getenv("SPAWN"), "fails") == 0) {
        return EAGAIN;
    }
    spawn_function *call;
    *(void **)&call = dlsym(dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD), "posix_spawn");
    return call(child, "/bin/false", NULL, attributes, argv, envp);
}
