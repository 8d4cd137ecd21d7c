/* The exec family: what a program passes to the next one is placeholders and a region, never plaintext.
 *
 * Contract of each: that of the function of the libc (exec(3), fexecve(3), execveat(2)), which does the work. Where the
 * environment holds secrets they are passed on as child_environment.h says; ENOMEM, EAGAIN, EMFILE, ENFILE and ENOSYS may
 * come from making the region. Nothing is allocated and no lock is taken: safe between vfork and exec and in signal
 * handlers.
 */
#include <stdarg.h>

#include "../shared/environment.h"
#include "export.h"
#include "child_environment.h"
#include "spawn.h"
#include "../shared/syscalls.h"

EXPORT int execve(const char *path, char *const argv[], char *const envp[]);
EXPORT int execv(const char *path, char *const argv[]);
EXPORT int execvp(const char *file, char *const argv[]);
EXPORT int execvpe(const char *file, char *const argv[], char *const envp[]);
EXPORT int execl(const char *path, const char *arg, ...);
EXPORT int execlp(const char *file, const char *arg, ...);
EXPORT int execle(const char *path, const char *arg, ...);
EXPORT int fexecve(int fd, char *const argv[], char *const envp[]);
EXPORT int execveat(int directory, const char *path, char *const argv[], char *const envp[], int flags);

enum kind { EXECVE, EXECVPE, FEXECVE, EXECVEAT };

struct request {
    enum kind kind;
    struct target target;
    int result;
};

/* The libc's function, or the bare system call in a program that has no libc. */
static void run(void *context, const struct command *command) {
    struct request *request = context;
    const struct target *target = &request->target;
    enum kind kind = command->path == NULL ? request->kind : EXECVE;
    int directory = command->path == NULL ? target->directory : AT_FDCWD;
    const char *path = command->path == NULL ? target->path : command->path;
    char *const *argv = command->path == NULL ? target->argv : command->argv;
    char *const *list = command->list;
    const struct state *state = state_load(NULL);
    static const struct libc none;
    const struct libc *libc = state == NULL ? &none : &state->libc;
    long result;

    if (kind == EXECVE && libc->execve != NULL) {
        request->result = libc->execve(path, argv, list);
        return;
    }
    if (kind == EXECVPE && libc->execvpe != NULL) {
        request->result = libc->execvpe(path, argv, list);
        return;
    }
    if (kind == FEXECVE && libc->fexecve != NULL) {
        request->result = libc->fexecve(directory, argv, list);
        return;
    }
    if (kind == EXECVEAT && libc->execveat != NULL) {
        request->result = libc->execveat(directory, path, argv, list, target->flags);
        return;
    }
    if (kind == EXECVPE) {
        result = -ENOSYS; /* both libcs have it */
    } else {
        result = SYSCALL5(__NR_execveat, directory, path, argv, list, command->path == NULL ? target->flags : 0);
    }
    spawn_set_errno(result);
    request->result = -1;
}

static int execute(struct request *request, char *const *list) {
    request->result = -1;
    spawn_set_errno(child_environment_call(&request->target, list, run, request));
    return request->result;
}

static int execute_path(const char *path, char *const *argv, char *const *list) {
    struct request request = {EXECVE, {.directory = AT_FDCWD, .path = path, .argv = argv}, -1};
    return execute(&request, list);
}

static int execute_search(const char *file, char *const *argv, char *const *list) {
    struct request request = {EXECVPE, {.directory = AT_FDCWD, .path = file, .search = true, .argv = argv}, -1};
    return execute(&request, list);
}

int execve(const char *path, char *const argv[], char *const envp[]) {
    return execute_path(path, argv, envp);
}

int execv(const char *path, char *const argv[]) {
    return execute_path(path, argv, environment_now());
}

int execvp(const char *file, char *const argv[]) {
    return execute_search(file, argv, environment_now());
}

int execvpe(const char *file, char *const argv[], char *const envp[]) {
    return execute_search(file, argv, envp);
}

int fexecve(int fd, char *const argv[], char *const envp[]) {
    struct request request = {FEXECVE, {.directory = fd, .path = "", .flags = AT_EMPTY_PATH, .argv = argv}, -1};
    return execute(&request, envp);
}

int execveat(int directory, const char *path, char *const argv[], char *const envp[], int flags) {
    struct request request = {EXECVEAT, {.directory = directory, .path = path, .flags = flags, .argv = argv}, -1};
    return execute(&request, envp);
}

/* Number of arguments from `arg` on to the NULL, which is counted. */
static size_t count_arguments(const char *arg, va_list *rest) {
    size_t count = 1;
    while (arg != NULL) {
        arg = va_arg(*rest, const char *);
        count++;
    }
    return count;
}

/* Stores the arguments and the NULL behind them. */
static void store_arguments(const char **argv, const char *arg, va_list *rest) {
    for (*argv++ = arg; arg != NULL; *argv++ = arg) {
        arg = va_arg(*rest, const char *);
    }
}

/* The list of a variadic function as an array, on the stack of the caller: a macro because of that. */
#define COLLECT(argv, arg, rest)                                    \
    do {                                                            \
        va_start(rest, arg);                                        \
        size_t count_ = count_arguments(arg, &rest);                \
        va_end(rest);                                               \
        argv = __builtin_alloca(count_ * sizeof *argv);             \
        va_start(rest, arg);                                        \
        store_arguments(argv, arg, &rest);                          \
    } while (0)

int execl(const char *path, const char *arg, ...) {
    va_list rest;
    const char **argv;
    COLLECT(argv, arg, rest);
    va_end(rest);
    return execute_path(path, (char *const *)argv, environment_now());
}

int execlp(const char *file, const char *arg, ...) {
    va_list rest;
    const char **argv;
    COLLECT(argv, arg, rest);
    va_end(rest);
    return execute_search(file, (char *const *)argv, environment_now());
}

int execle(const char *path, const char *arg, ...) {
    va_list rest;
    const char **argv;
    COLLECT(argv, arg, rest);
    char *const *envp = va_arg(rest, char *const *);
    va_end(rest);
    return execute_path(path, (char *const *)argv, envp);
}
