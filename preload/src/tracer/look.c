#include "look.h"

#include <linux/stat.h>

#include "../shared/bytes.h"
#include "../shared/children.h"
#include "../shared/environment.h"
#include "../shared/fail.h"
#include "../shared/preload_list.h"
#include "../shared/program.h"
#include "../shared/syscalls.h"
#include "../shared/target.h"
#include "../shared/tracer_words.h"

/* As tracer_words.h tells, behind the name of the tracer. */
enum { FORM, REPORT, DESCRIPTOR, DIRECTORIES, NAME };

enum {
    NOT_FOUND = 127, /* as shells have it */
    CANNOT_EXEC = 126,
    BUSY_TICKS = 20, /* 1 s: a program that is being written, as compilers and Go's exec meet it for a moment */
    TICK_NS = 50 * 1000 * 1000,
};

int parse_descriptor(const char *text) {
    int descriptor = 0;
    text += *text == '=';
    if (*text < '0' || *text > '9') {
        return -1;
    }
    for (; *text >= '0' && *text <= '9' && descriptor < 100 * 1000 * 1000; text++) {
        descriptor = descriptor * 10 + (*text - '0');
    }
    return descriptor;
}

static long execute(const struct start *start) {
    if (start->descriptor < 0) {
        return SYSCALL3(__NR_execve, start->path, start->argv, start->envp);
    }
    return SYSCALL5(__NR_execveat, start->descriptor, "", start->argv, start->envp, AT_EMPTY_PATH);
}

long start_program(const struct start *start) {
    static const struct __kernel_timespec tick = {0, TICK_NS};
    long result = execute(start);
    for (int ticks = 0; result == -ETXTBSY && ticks < BUSY_TICKS; ticks++) {
        SYSCALL2(__NR_nanosleep, &tick, NULL);
        result = execute(start);
    }
    return result;
}

void start_failed(const char *program, long result) {
    if (result == -ENOENT || result == -ENOTDIR) {
        fail_say(program, "is not there (any longer), or its interpreter is not");
        sys_exit_group(NOT_FOUND);
    }
    fail_say(program, result == -ETXTBSY  ? "is open for writing"
                      : result == -E2BIG  ? "its arguments and its environment are too long"
                      : result == -EACCES ? "permission denied"
                                          : "cannot be executed");
    sys_exit_group(CANNOT_EXEC);
}

bool look_is_asked(char *const *words, size_t count) {
    return count >= LOOK_WORDS - 1 && (text_equal(words[FORM], LOOK_WORD) || text_equal(words[FORM], SEARCH_WORD) ||
                                       text_equal(words[FORM], SEARCH_GNU_WORD));
}

static void report(int descriptor, int result) {
    quiet_write(descriptor, &result, sizeof result); /* the caller waits no longer than LOOK_S */
    sys_close(descriptor);
}

/* The caller of posix_spawn() gets EACCES, and one line says why. */
__attribute__((noreturn)) static void refuse(int descriptor, const char *path, const char *reason) {
    report(descriptor, -EACCES);
    fail(path, reason);
}

/* Whether the path leads to this program, by /proc/self/exe, or one that was not searched for leads nowhere, by a descriptor
 * that was closed when this program was executed. */
static bool leads_astray(const char *path, bool searched) {
    struct stat there;
    struct stat here;
    if (SYSCALL4(__NR_newfstatat, AT_FDCWD, path, &there, 0) < 0) {
        return !searched;
    }
    return SYSCALL4(__NR_newfstatat, AT_FDCWD, "/proc/self/exe", &here, 0) == 0 && there.st_dev == here.st_dev &&
           there.st_ino == here.st_ino;
}

/* Whether a loader started with this environment finds the library, if it names ours. */
static bool finds_library(char *const *envp) {
    static char library[TARGET_PATH_BYTES];
    const char *list = environment_value(envp, PRELOAD_VARIABLE);
    size_t length = 0;
    const char *ours = list == NULL ? "" : preload_list_ours(list, &length);
    if (length >= sizeof library) {
        return false;
    }
    bytes_copy(library, ours, length)[0] = '\0';
    return length == 0 || program_can_load(library);
}

static void require_allowed(int reporter, const char *path, const struct program *program, char *const *envp) {
    if (!children_policy_allows(environment_value(envp, CHILDREN_VARIABLE), path)) {
        refuse(reporter, path, "may not have secrets, as --children says, which was known only in the directory that it is "
                               "started from; name it by an absolute path");
    }
    if ((program->raises_ids || program->has_capabilities) && program_may_gain()) {
        refuse(reporter, path, "would gain privileges and may not have secrets, which was known only in the directory that "
                               "it is started from; name it by an absolute path");
    }
}

void look(char *const *words, char *const *envp, struct start *start) {
    static char found[TARGET_PATH_BYTES];
    const char *path = words[NAME];
    int reporter = parse_descriptor(words[REPORT]);
    sys_fcntl(reporter, F_SETFD, FD_CLOEXEC);
    bool gnu = text_equal(words[FORM], SEARCH_GNU_WORD);
    bool searched = gnu || text_equal(words[FORM], SEARCH_WORD);
    struct target target = {.directory = AT_FDCWD, .path = path, .search = searched, .gnu = gnu};
    if (target.search) {
        long missing = target_resolve(&target, words[DIRECTORIES], found);
        if (missing < 0) {
            report(reporter, (int)missing);
            sys_exit_group(NOT_FOUND);
        }
        path = found;
    }
    *start = (struct start){parse_descriptor(words[DESCRIPTOR]), path, words + NAME + 1, envp};
    if (start->descriptor >= 0) {
        if (leads_astray(path, target.search)) {
            target.directory = start->descriptor;
            target.path = "";
            target.flags = AT_EMPTY_PATH;
        } else {
            sys_close(start->descriptor);
            start->descriptor = -1;
        }
    }
    struct program program;
    long result = program_look(target.directory, start->descriptor < 0 ? path : "", &program);
    if (result == 0) {
        result = executable(&target, path);
    }
    if (result < 0) {
        report(reporter, (int)result);
        sys_exit_group(NOT_FOUND);
    }
    if (start->descriptor >= 0 && !program.is_script) { /* an interpreter opens a script by its descriptor */
        sys_fcntl(start->descriptor, F_SETFD, FD_CLOEXEC);
    }
    require_allowed(reporter, path, &program, envp);
    if (program.kind == PROGRAM_NONE || program.is_stranded) { /* what exec says of it is the answer */
        report(reporter, (int)start_program(start));
        sys_exit_group(NOT_FOUND);
    }
    report(reporter, 0);
    if (program.kind == PROGRAM_DYNAMIC && !program_runs_secure(&program) && finds_library(envp)) {
        start_failed(path, start_program(start));
    }
}
