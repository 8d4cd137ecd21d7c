#include "executable.h"

#include <linux/stat.h>

#include "syscalls.h"

#ifndef AT_EXECVE_CHECK
#define AT_EXECVE_CHECK 0x10000 /* since Linux 6.14 */
#endif

enum { EXECUTE = 1 }; /* X_OK */

/* What an older kernel is not asked about: flags of execveat(2), and a link that is not to be followed. */
static long executable_by_parts(const struct target *target, const char *file) {
    struct stat status;
    if ((target->flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)) != 0) {
        return -EINVAL;
    }
    if (target_is_descriptor(target)) {
        return 0;
    }
    if ((target->flags & AT_SYMLINK_NOFOLLOW) != 0 &&
        SYSCALL4(__NR_newfstatat, target->directory, file, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISLNK(status.st_mode)) {
        return -ELOOP;
    }
    return SYSCALL3(__NR_faccessat, target->directory, file, EXECUTE);
}

long executable(const struct target *target, const char *path) {
    const char *const argv[] = {path, NULL};
    const char *const no_environment[] = {NULL};
    const char *file = target_is_descriptor(target) ? "" : path;
    long result =
        SYSCALL5(__NR_execveat, target->directory, file, argv, no_environment, target->flags | AT_EXECVE_CHECK);
    if (result == -EINVAL || result == -ENOSYS || result == -EPERM) { /* an older kernel, or a seccomp profile */
        result = executable_by_parts(target, file);
    }
    return result;
}
