/* pidfd_spawn() and pidfd_spawnp() as glibc has them since 2.39, for machines with an older one. They start the program by
 * the libc's own posix_spawn(), past any library before it, so nothing changes the environment that they are given. */
#include <dlfcn.h>
#include <errno.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef int spawn_function(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                           char *const *, char *const *);

spawn_function pidfd_spawn, pidfd_spawnp;

static int spawn(const char *name, int *pidfd, const char *path, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]) {
    spawn_function *call;
    *(void **)&call = dlsym(dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD), name);
    pid_t child;
    int error = call(&child, path, actions, attributes, argv, envp);
    if (error == 0) {
        *pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    }
    return error != 0 ? error : *pidfd < 0 ? errno : 0;
}

int pidfd_spawn(int *pidfd, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]) {
    return spawn("posix_spawn", pidfd, path, actions, attributes, argv, envp);
}

int pidfd_spawnp(int *pidfd, const char *file, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]) {
    return spawn("posix_spawnp", pidfd, file, actions, attributes, argv, envp);
}
