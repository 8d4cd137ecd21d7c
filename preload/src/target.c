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

/* Whether execvp() of the libc ends its search here. */
static bool ends_search(const char *path) {
    struct stat status;
    struct program program;
    return program_may_be_executed(AT_FDCWD, path) && SYSCALL4(__NR_newfstatat, AT_FDCWD, path, &status, 0) == 0 &&
           S_ISREG(status.st_mode) && (program_look(AT_FDCWD, path, &program) < 0 || !program.is_stranded);
}

static bool search_in(const char *directories, const char *name, char *path) {
    size_t name_bytes = text_length(name);
    for (const char *directory = directories;; directory++) {
        size_t length = 0;
        while (directory[length] != '\0' && directory[length] != ':') {
            length++;
        }
        if (length + 1 + name_bytes < TARGET_PATH_BYTES) {
            char *at = bytes_copy(path, directory, length);
            if (length > 0) { /* an empty part stands for the current directory */
                *at++ = '/';
            }
            bytes_copy(at, name, name_bytes)[0] = '\0';
            if (ends_search(path)) {
                return true;
            }
        }
        directory += length;
        if (*directory == '\0') {
            return false;
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

bool target_resolve(const struct target *target, const char *search_path, char *path) {
    if (target_is_descriptor(target)) {
        descriptor_path(target->directory, path);
        return true;
    }
    bool searched = target_is_searched(target);
    if (searched && search_in(search_path, target->path, path)) {
        return true;
    }
    return copy_text(path, target->path) && !searched;
}
