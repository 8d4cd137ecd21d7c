/* pidfd_spawn() and pidfd_spawnp() as glibc has them since 2.39, for machines with an older one. They start the program by
 * raw system calls, so nothing changes the environment that they are given. */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

int pidfd_spawn(int *pidfd, const char *path, const void *actions, const void *attributes, char *const argv[],
                char *const envp[]);
int pidfd_spawnp(int *pidfd, const char *file, const void *actions, const void *attributes, char *const argv[],
                 char *const envp[]);

int pidfd_spawn(int *pidfd, const char *path, const void *actions, const void *attributes, char *const argv[],
                char *const envp[]) {
    if (actions != NULL || attributes != NULL) {
        return EINVAL;
    }
    pid_t child = fork();
    if (child == 0) {
        syscall(SYS_execve, path, argv, envp);
        _exit(127);
    }
    *pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    return *pidfd < 0 ? errno : 0;
}

int pidfd_spawnp(int *pidfd, const char *file, const void *actions, const void *attributes, char *const argv[],
                 char *const envp[]) {
    return file[0] == '/' ? pidfd_spawn(pidfd, file, actions, attributes, argv, envp) : ENOENT;
}
