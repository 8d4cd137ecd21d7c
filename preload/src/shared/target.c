#include "target.h"

#include <linux/prctl.h>
#include <linux/stat.h>

#include "bytes.h"
#include "program.h"
#include "syscalls.h"

static const char DESCRIPTOR_LINK[] = "/proc/self/fd/";

static bool has_slash(const char *text) {
    for (; *text != '\0'; text++) {
        if (*text == '/') {
            return true;
        }
    }
    return false;
}

/* Copies as much as fits; returns whether that was all. */
static bool copy_text(char *to, const char *from) {
    size_t length = text_length(from);
    bool fits = length < TARGET_PATH_BYTES;
    bytes_copy(to, from, fits ? length : TARGET_PATH_BYTES - 1)[0] = '\0';
    return fits;
}

/* Whether execvp() of the libc goes on to the next directory after an error. */
static bool is_of_directory(long error) {
    return error == -ENOENT || error == -ENOTDIR || error == -EACCES || error == -ESTALE || error == -ENODEV ||
           error == -ETIMEDOUT;
}

/* What exec says of a path that execvp() of the libc passes over; 0 where it ends its search. */
static long passed_over(const char *path) {
    struct stat status;
    struct program program;
    long error = program_execution_error(AT_FDCWD, path);
    if (error < 0) {
        return is_of_directory(error) ? error : 0;
    }
    if (SYSCALL4(__NR_newfstatat, AT_FDCWD, path, &status, 0) < 0) {
        return -ENOENT;
    }
    if (!S_ISREG(status.st_mode)) {
        return -EACCES;
    }
    return program_look(AT_FDCWD, path, &program) == 0 && program.is_stranded ? -ENOENT : 0;
}

/* Returns 0, or what exec says of the last one; -EACCES if it says that of any. */
static long search_in(const char *directories, const char *name, bool gnu, char *path) {
    size_t name_bytes = text_length(name);
    long result = -ENOENT;
    for (const char *directory = directories;; directory++) {
        size_t length = 0;
        while (directory[length] != '\0' && directory[length] != ':') {
            length++;
        }
        bool overlong = length >= TARGET_PATH_BYTES;
        size_t taken = overlong ? 0 : length;
        if (taken + 1 + name_bytes >= TARGET_PATH_BYTES) {
            return -ENAMETOOLONG;
        }
        if (!overlong || (gnu && directory[length] == ':')) {
            char *at = bytes_copy(path, directory, taken);
            if (taken > 0) { /* an empty part stands for the current directory */
                *at++ = '/';
            }
            bytes_copy(at, name, name_bytes)[0] = '\0';
            long error = passed_over(path);
            if (error == 0) {
                return 0;
            }
            result = result == -EACCES ? result : error;
        }
        directory += length;
        if (*directory == '\0') {
            return result;
        }
    }
}

static void descriptor_path(int fd, char *path) {
    char link[sizeof DESCRIPTOR_LINK + 10];
    text_number(bytes_copy(link, DESCRIPTOR_LINK, sizeof DESCRIPTOR_LINK - 1), (unsigned)fd);
    long length = SYSCALL4(__NR_readlinkat, AT_FDCWD, link, path, TARGET_PATH_BYTES - 1);
    path[length > 0 ? length : 0] = '\0';
}

bool target_is_searched(const struct target *target) {
    return target->search && target->path[0] != '\0' && !has_slash(target->path);
}

bool target_search_moves(const char *search_path) {
    for (const char *at = search_path;; at++) {
        if (*at != '/' || text_starts_with(at, "/proc/") || text_starts_with(at, "/dev/")) {
            return true;
        }
        while (*at != '\0' && *at != ':') {
            at++;
        }
        if (*at == '\0') {
            return false;
        }
    }
}

long target_resolve(const struct target *target, const char *search_path, char *path) {
    if (target_is_descriptor(target)) {
        descriptor_path(target->directory, path);
        return 0;
    }
    long result = 0;
    if (target_is_searched(target)) {
        result = search_in(search_path, target->path, target->gnu, path);
        if (result == 0) {
            return 0;
        }
    }
    return copy_text(path, target->path) ? result : -ENAMETOOLONG;
}

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
