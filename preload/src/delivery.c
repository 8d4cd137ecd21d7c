#include "delivery.h"

#include <linux/stat.h>

#include "bytes.h"
#include "environment.h"
#include "fail.h"
#include "program.h"
#include "syscalls.h"

#ifndef AT_EXECVE_CHECK
#define AT_EXECVE_CHECK 0x10000 /* since Linux 6.14 */
#endif

static char shell[] = "/bin/sh";          /* _PATH_BSHELL, which execvp() of glibc takes */
static char tracer_name[] = "strongroom-tracer";

enum {
    LOWEST_FD = 100,         /* scripts use the low ones */
    WORDS_ADDED = 5,         /* name, descriptor and path of the tracer; path of a script for the shell; the NULL */
    STACK_WORDS = 1000,      /* of the stack, of which threads of musl and signal handlers have little; */
    STACK_WORDS_IN_CHILD = 7000, /* a child of vfork() would leave a mapping in its parent */
    EXECUTE = 1,             /* X_OK */
    DESCRIPTOR_TEXT_BYTES = 12,
};

static bool by_descriptor(const struct target *target) {
    return target->path[0] == '\0' && target->directory >= 0;
}

static bool closes_on_exec(int fd) {
    return (sys_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC) != 0;
}

/* Whether a relative path is to be seen from another directory than the working directory. */
static bool in_directory(const struct target *target, const char *path) {
    return target->directory != AT_FDCWD && path[0] != '/';
}

/* What an older kernel is not asked about: flags of execveat(2), and a link that is not to be followed. */
static long executable_by_parts(const struct target *target, const char *file) {
    struct stat status;
    if ((target->flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)) != 0) {
        return -EINVAL;
    }
    if (by_descriptor(target)) {
        return 0;
    }
    if ((target->flags & AT_SYMLINK_NOFOLLOW) != 0 &&
        SYSCALL4(__NR_newfstatat, target->directory, file, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISLNK(status.st_mode)) {
        return -ELOOP;
    }
    return SYSCALL3(__NR_faccessat, target->directory, file, EXECUTE);
}

/* What exec would say of the program: 0, or a negative errno value. */
static long executable(const struct target *target, const char *path) {
    const char *const argv[] = {path, NULL};
    const char *const no_environment[] = {NULL};
    const char *file = by_descriptor(target) ? "" : path;
    int flags = target->flags | (by_descriptor(target) ? AT_EMPTY_PATH : 0);
    long result =
        SYSCALL5(__NR_execveat, target->directory, file, argv, no_environment, flags | AT_EXECVE_CHECK);
    if (result == -EINVAL || result == -ENOSYS || result == -EPERM) { /* an older kernel, or a seccomp profile */
        result = executable_by_parts(target, file);
    }
    return result;
}

static bool ignores_library(const struct state *state, const struct program *program) {
    return program->kind != PROGRAM_DYNAMIC || program_runs_secure(program) ||
           (state->library[0] != '\0' && !program_can_load(state->library));
}

/* execvp() of glibc gives a file that is no program to the shell; that of musl does not. */
static long choose_for_shell(const struct state *state, const struct target *target, const char *path) {
    if (!target->search || state->libc.gnu_version == NULL || executable(target, path) != 0) {
        return DELIVERY_LIBRARY;
    }
    struct program program;
    long result = program_look(AT_FDCWD, shell, &program);
    if (result < 0) {
        return result;
    }
    return program.kind != PROGRAM_NONE && ignores_library(state, &program) ? DELIVERY_SHELL : DELIVERY_LIBRARY;
}

long delivery_choose(const struct state *state, const struct target *target, const char *path) {
    struct program program;
    long result = program_look(target->directory, by_descriptor(target) ? "" : path, &program);
    if (result < 0) {
        return result;
    }
    if (program.kind == PROGRAM_NONE) {
        return choose_for_shell(state, target, path);
    }
    if ((program.raises_ids || program.has_capabilities) && program_may_gain()) {
        return DELIVERY_NONE;
    }
    if (!ignores_library(state, &program)) {
        return DELIVERY_LIBRARY;
    }
    if (by_descriptor(target) && program.is_script && closes_on_exec(target->directory)) {
        return DELIVERY_LIBRARY; /* ENOENT: its interpreter could not open it (execveat(2), BUGS) */
    }
    result = executable(target, path);
    return result < 0 ? result : DELIVERY_TRACER;
}

/* Writes the path of the tracer, beside the library, to `to`. Returns false when it cannot be executed. */
static bool find_tracer(const struct state *state, char *to) {
    size_t directory_bytes = 0;
    for (size_t i = 0; state->library[i] != '\0'; i++) {
        if (state->library[i] == '/') {
            directory_bytes = i + 1;
        }
    }
    if (directory_bytes == 0 || directory_bytes + sizeof tracer_name > TARGET_PATH_BYTES) {
        return false;
    }
    bytes_copy(bytes_copy(to, state->library, directory_bytes), tracer_name, sizeof tracer_name);
    return SYSCALL3(__NR_faccessat, AT_FDCWD, to, EXECUTE) == 0;
}

/* A descriptor of the program for the tracer to inherit and close, where a path alone would not lead to it; -1 where one
 * is not needed, because it does, or because the caller's own will be inherited. */
static long open_program(const struct target *target, const char *path) {
    if (by_descriptor(target)) {
        return closes_on_exec(target->directory) ? sys_fcntl(target->directory, F_DUPFD, LOWEST_FD) : -1;
    }
    bool follows = (target->flags & AT_SYMLINK_NOFOLLOW) == 0;
    if (!in_directory(target, path)) {
        /* The interpreter of a script opens its path anew, whatever is opened here, and its name is an argument. */
        struct program program;
        if (follows || (program_look(target->directory, path, &program) == 0 && program.is_script)) {
            return -1;
        }
    }
    long fd = sys_openat(target->directory, path, O_PATH | O_CLOEXEC | (follows ? 0 : O_NOFOLLOW));
    if (fd < 0) {
        return fd;
    }
    long high = sys_fcntl((int)fd, F_DUPFD, LOWEST_FD);
    sys_close((int)fd);
    return high;
}

/* Writes the words of the tracer to `words`, with those of the program behind them. */
static void write_words(char **words, char *descriptor, const char *path, enum delivery delivery, char *const *argv) {
    char *named = (char *)(uintptr_t)path;
    *words++ = tracer_name;
    *words++ = descriptor;
    if (delivery == DELIVERY_SHELL) {
        *words++ = shell;
        *words++ = shell;
        argv += *argv == NULL ? 0 : 1;
        *words++ = named;
    } else {
        *words++ = named;
    }
    while (*argv != NULL) {
        *words++ = *argv++;
    }
    *words = NULL;
}

/* The end of a call for which there is no tracer. */
static long refuse(const struct target *target, const char *path) {
    static const char reason[] = "does not load the library here, and strongroom-tracer, which serves such programs, is "
                                 "not beside it; have both in this root directory, not mounted noexec";
    if (!target->spawned) {
        fail(path, reason);
    }
    fail_say(path, reason);
    return -EACCES;
}

long delivery_by_tracer(const struct state *state, const struct target *target, const char *path,
                        enum delivery delivery, char *const *list, passing_function *call, void *context) {
    char tracer[TARGET_PATH_BYTES];
    if (!find_tracer(state, tracer)) {
        return refuse(target, path);
    }
    static char *const no_words[] = {NULL};
    char *const *argv = target->argv == NULL ? no_words : target->argv;
    size_t count = environment_count(argv) + WORDS_ADDED;
    bool in_child = SYSCALL0(__NR_getpid) != state->process;
    bool mapped = count > (in_child ? STACK_WORDS_IN_CHILD : STACK_WORDS);
    char **words;
    if (mapped) {
        words = sys_mmap(count * sizeof *words, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        if (is_map_error(words)) {
            return (long)words;
        }
    } else {
        words = __builtin_alloca(count * sizeof *words);
    }
    char descriptor[DESCRIPTOR_TEXT_BYTES] = "-";
    long fd = delivery == DELIVERY_TRACER ? open_program(target, path) : -1;
    if (fd >= 0) {
        text_number(descriptor, (unsigned)fd);
    } else if (delivery == DELIVERY_TRACER && by_descriptor(target)) {
        descriptor[0] = '=';
        text_number(descriptor + 1, (unsigned)target->directory);
    }
    long result = 0;
    if (fd < -1) {
        result = fd;
    } else {
        write_words(words, descriptor, path, delivery, argv);
        const struct command command = {.path = tracer, .argv = words, .list = list};
        call(context, &command);
    }
    if (fd >= 0) {
        sys_close((int)fd);
    }
    if (mapped) {
        sys_munmap(words, count * sizeof *words);
    }
    return result;
}
