#include "tracer_call.h"

#include <linux/poll.h>

#include "../shared/bytes.h"
#include "../shared/environment.h"
#include "../shared/fail.h"
#include "../shared/syscalls.h"
#include "../shared/tracer_words.h"

static char tracer_name[] = "strongroom-tracer";
static char shell[] = DELIVERY_SHELL_PATH;
static char nothing[] = "-";

enum {
    LOWEST_FD = 100,         /* scripts use the low ones */
    WORDS_ADDED = LOOK_WORDS + 1, /* of the forms below, the longest, and the NULL */
    STACK_WORDS = 1000,      /* of the stack, of which threads of musl and signal handlers have little; */
    STACK_WORDS_IN_CHILD = 7000, /* a child of vfork() would leave a mapping in its parent */
    EXECUTE = 1,             /* X_OK */
    DESCRIPTOR_TEXT_BYTES = 12,
    NOT_NEEDED = -4096,      /* no errno value */
    LOOK_S = 10,             /* longer than a tracer needs to look, on any machine that works */
};

/* Whether a relative path is to be seen from another directory than the working directory. */
static bool in_directory(const struct target *target, const char *path) {
    return target->directory != AT_FDCWD && path[0] != '/';
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

static bool closes_on_exec(int fd) {
    return (sys_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC) != 0;
}

/* The same as `fd`, which is closed, but inheritable and out of the way. */
static long raise(long fd) {
    if (fd < 0) {
        return fd;
    }
    long high = sys_fcntl((int)fd, F_DUPFD, LOWEST_FD);
    sys_close((int)fd);
    return high == -EINVAL ? -EMFILE : high; /* EINVAL: the limit of open files lies below the lowest number */
}

/* A descriptor of the program for the tracer to inherit and close, where a path alone would not lead to it; NOT_NEEDED where
 * it does, or where the caller's own will be inherited; a negative errno value where none can be had. */
static long open_program(const struct target *target, const char *path) {
    if (target_is_descriptor(target)) {
        return closes_on_exec(target->directory) ? sys_fcntl(target->directory, F_DUPFD, LOWEST_FD)
                                                : NOT_NEEDED;
    }
    bool follows = (target->flags & AT_SYMLINK_NOFOLLOW) == 0;
    if (!in_directory(target, path)) {
        /* The interpreter of a script opens its path anew, whatever is opened here, and its name is an argument. */
        struct program program;
        long result = program_look(target->directory, path, &program);
        if (result == 0 && (program.is_script || (follows && !program.is_by_link))) {
            return NOT_NEEDED;
        }
    }
    return raise(sys_openat(target->directory, path, O_PATH | O_CLOEXEC | (follows ? 0 : O_NOFOLLOW)));
}

/* The words in the making. */
struct words {
    char **next;
};

static void add(struct words *words, const char *word) {
    *words->next++ = (char *)(uintptr_t)word;
}

static void add_arguments(struct words *words, char *const *argv) {
    while (*argv != NULL) {
        add(words, *argv++);
    }
    add(words, NULL);
}

static char *const *arguments_of(const struct target *target) {
    static char *const none[] = {NULL};
    return target->argv == NULL ? none : target->argv;
}

static void make_call(const struct tracer_call *tracer_call, const char *tracer, char **words, command_function *call,
                      void *context, int *process) {
    const struct command command = {.path = tracer, .argv = words, .list = tracer_call->list, .process = process};
    call(context, &command);
}

/* For a program that was looked at: DESCRIPTOR PATH ARG... */
static long call_for_program(const struct tracer_call *tracer_call, const char *tracer, char **memory,
                             command_function *call, void *context) {
    const struct target *target = tracer_call->target;
    char descriptor[DESCRIPTOR_TEXT_BYTES] = "-";
    long fd = open_program(target, tracer_call->path);
    if (fd < 0 && fd != NOT_NEEDED) {
        return fd;
    }
    if (fd >= 0) {
        text_number(descriptor, (unsigned)fd);
    } else if (target_is_descriptor(target)) {
        descriptor[0] = '=';
        text_number(descriptor + 1, (unsigned)target->directory);
    }
    struct words words = {memory};
    add(&words, tracer_name);
    add(&words, descriptor);
    add(&words, tracer_call->path);
    add_arguments(&words, arguments_of(target));
    make_call(tracer_call, tracer, memory, call, context, NULL);
    if (fd >= 0) {
        sys_close((int)fd);
    }
    return 0;
}

/* For the shell, with the file that it is to interpret: as above. */
static long call_for_shell(const struct tracer_call *tracer_call, const char *tracer, char **memory,
                           command_function *call, void *context) {
    char *const *argv = arguments_of(tracer_call->target);
    struct words words = {memory};
    add(&words, tracer_name);
    add(&words, nothing);
    add(&words, shell);
    add(&words, shell);
    add(&words, tracer_call->path);
    add_arguments(&words, argv + (*argv == NULL ? 0 : 1));
    make_call(tracer_call, tracer, memory, call, context, NULL);
    return 0;
}

/* What the tracer reports: 0, or a negative errno value. One that ended without a word counts as a program that started and
 * ended. Another child that another thread starts at this moment may hold the other end open, so `process`, as struct
 * command tells, is looked at, too. */
static long read_report(int fd, int process) {
    struct __kernel_timespec left = {LOOK_S, 0}; /* counted down by the call */
    struct pollfd polled[] = {{.fd = fd, .events = POLLIN}, {.fd = process, .events = POLLIN}}; /* but for one below 0 */
    long result = process == -ECHILD || process == -ESRCH ? 0 : -EINTR; /* there is none, or none any longer */
    while (result == -EINTR) {
        result = SYSCALL5(__NR_ppoll, polled, sizeof polled / sizeof polled[0], &left, NULL, 0);
    }
    int report = 0;
    if (sys_read(fd, &report, sizeof report) != sizeof report || report > 0) { /* this does not wait */
        return 0;
    }
    return report;
}

/* For a program that only the new process can find: look or search, with what tracer_words.h tells. */
static long call_to_look(const struct tracer_call *tracer_call, const char *tracer, char **memory,
                         command_function *call, void *context) {
    const struct target *target = tracer_call->target;
    int ends[2];
    long result = SYSCALL2(__NR_pipe2, ends, O_CLOEXEC | O_NONBLOCK);
    if (result < 0) {
        return result;
    }
    long report = raise(ends[1]);
    struct program program;
    result = report < 0 ? report : program_look(AT_FDCWD, tracer_call->path, &program);
    long fd = -1;
    if (result == 0 && program.is_by_link) {
        fd = raise(sys_openat(AT_FDCWD, tracer_call->path, O_PATH | O_CLOEXEC)); /* it may be there in the child only */
    }
    if (result == 0) {
        char report_text[DESCRIPTOR_TEXT_BYTES];
        char descriptor[DESCRIPTOR_TEXT_BYTES] = "-";
        text_number(report_text, (unsigned)report);
        if (fd >= 0) {
            text_number(descriptor, (unsigned)fd);
        }
        bool searched = target_is_searched(target);
        struct words words = {memory};
        add(&words, tracer_name);
        add(&words, !searched ? LOOK_WORD : target->gnu ? SEARCH_GNU_WORD : SEARCH_WORD);
        add(&words, report_text);
        add(&words, descriptor);
        add(&words, searched ? tracer_call->search_path : nothing);
        add(&words, target->path);
        add_arguments(&words, arguments_of(target));
        int process = -ECHILD;
        make_call(tracer_call, tracer, memory, call, context, &process);
        sys_close((int)report);
        report = -1;
        result = read_report(ends[0], process);
        if (process >= 0) {
            sys_close(process);
        }
    }
    if (report >= 0) {
        sys_close((int)report);
    }
    if (fd >= 0) {
        sys_close((int)fd);
    }
    sys_close(ends[0]);
    return result;
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

long tracer_call(const struct tracer_call *tracer_call, command_function *call, void *context) {
    char tracer[TARGET_PATH_BYTES];
    if (!find_tracer(tracer_call->state, tracer)) {
        return refuse(tracer_call->target, tracer_call->path);
    }
    size_t count = environment_count(arguments_of(tracer_call->target)) + WORDS_ADDED;
    bool in_child = SYSCALL0(__NR_getpid) != tracer_call->state->process;
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
    long result = tracer_call->delivery == DELIVERY_LOOK    ? call_to_look(tracer_call, tracer, words, call, context)
                  : tracer_call->delivery == DELIVERY_SHELL ? call_for_shell(tracer_call, tracer, words, call, context)
                                                            : call_for_program(tracer_call, tracer, words, call, context);
    if (mapped) {
        sys_munmap(words, count * sizeof *words);
    }
    return result;
}
