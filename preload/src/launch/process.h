/* What the programs have in common that start an interpreter: they are static, without a libc, and live for a tenth of a
 * millisecond. Each is one file that includes this one and has a launch().
 */
#ifndef STRONGROOM_LAUNCH_PROCESS_H
#define STRONGROOM_LAUNCH_PROCESS_H

#include <linux/auxvec.h>
#include <linux/limits.h>

#include "../shared/bytes.h"
#include "../shared/syscalls.h"

/* In front of a string of the environment that is not for the interpreter. No name of a variable begins with a dot. */
#define HIDDEN '.'

enum {
    STANDARD_ERROR = 2,
    CONFIG = 111, /* wrapper/exit_status.py */
    CANNOT_EXEC = 126,
};

static const struct {
    long number;
    const char *text;
} REASONS[] = {
    {ENOENT, "is missing"},
    {EACCES, "cannot be executed; is it on a filesystem mounted noexec, or were modes lost in copying?"},
    {ENOEXEC, "is not a program for this machine"},
    {E2BIG, "the arguments and the environment are too long"},
    {ENOMEM, "out of memory"},
    {EPERM, "refused; a security policy may forbid it"},
};

/* A NUL-terminated text of limited length. */
struct path {
    size_t length;
    char text[PATH_MAX];
};

static inline void say(const char *text) {
    sys_write(STANDARD_ERROR, text, text_length(text));
}

/* Ends the process with an error line in two parts; one that cannot be written is lost. */
__attribute__((noreturn)) static inline void end(int status, const char *subject, const char *reason) {
    say("strongroom: error: ");
    say(subject);
    say(": ");
    say(reason);
    say("\n");
    sys_exit_group(status);
}

/* Adds `text`. Returns false and leaves the path as it is if it would be too long. */
static inline bool path_add(struct path *path, const char *text) {
    size_t length = text_length(text);
    if (path->length + length >= sizeof path->text) {
        return false;
    }
    bytes_copy(path->text + path->length, text, length + 1);
    path->length += length;
    return true;
}

static inline bool path_set(struct path *path, const char *text) {
    path->length = 0;
    return path_add(path, text);
}

/* Cuts the path behind its last slash. Returns false if it has none. */
static inline bool path_cut_to_directory(struct path *path) {
    while (path->length > 0 && path->text[path->length - 1] != '/') {
        path->length--;
    }
    path->text[path->length] = '\0';
    return path->length > 0;
}

/* Replaces the path by where the symbolic link `link` leads. Returns false if it is none, or too long. */
static inline bool path_read_link(struct path *path, const char *link) {
    long length = SYSCALL4(__NR_readlinkat, AT_FDCWD, link, path->text, sizeof path->text - 1);
    if (length < 0 || (size_t)length >= sizeof path->text - 1) {
        return false;
    }
    path->length = (size_t)length;
    path->text[path->length] = '\0';
    return true;
}

static inline bool exists(const struct path *path) {
    return SYSCALL3(__NR_faccessat, AT_FDCWD, path->text, 0) == 0;
}

/* Returns zeroed memory that is never given back. */
static inline void *allocate(size_t bytes) {
    void *memory = sys_mmap(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (is_map_error(memory)) {
        end(CANNOT_EXEC, "memory", "there is none");
    }
    return memory;
}

static inline size_t count(char *const *list) {
    size_t length = 0;
    while (list[length] != NULL) {
        length++;
    }
    return length;
}

/* Returns two lists as one. */
static inline char **joined(char *const *first, char *const *second) {
    size_t length = count(first), all = length + count(second);
    char **list = allocate((all + 1) * sizeof *list);
    for (size_t i = 0; i < all; i++) {
        list[i] = i < length ? first[i] : second[i - length];
    }
    return list;
}

/* Returns `own`, and behind it `environment` with HIDDEN in front of what is to be hidden. */
static inline char **hide(char *const *own, char *const *environment, bool (*is_hidden)(const char *variable)) {
    size_t bytes = 1;
    for (char *const *entry = environment; *entry != NULL; entry++) {
        bytes += text_length(*entry) + 2;
    }
    char **all = joined(own, environment), *to = allocate(bytes);
    for (char **entry = all + count(own); *entry != NULL; entry++) {
        const char *shown = *entry;
        if (is_hidden(shown)) {
            *entry = to;
            *to++ = HIDDEN;
            to = bytes_copy(to, shown, text_length(shown) + 1);
        }
    }
    return all;
}

/* Blocks the signals that end a launch and returns those that were not blocked before, as text. */
static inline char *hold_signals(void) {
    static char none[] = "-", term[] = "15", interrupt[] = "2", both[] = "15,2";
    kernel_sigset wanted = signal_bit(SIGTERM) | signal_bit(SIGINT), before = 0;
    sys_sigprocmask(SIG_BLOCK, &wanted, &before);
    kernel_sigset held = wanted & ~before;
    if (held == wanted) {
        return both;
    }
    return held == 0 ? none : held == signal_bit(SIGTERM) ? term : interrupt;
}

static inline const char *executed_path(char *const *environment) {
    const unsigned long *entry = (const unsigned long *)(environment + count(environment) + 1);
    for (; entry[0] != AT_NULL; entry += 2) {
        if (entry[0] == AT_EXECFN) {
            return (const char *)entry[1];
        }
    }
    return NULL;
}

/* Ends the process because execve() of `program` gave `result`. */
__attribute__((noreturn)) static inline void end_unexecuted(const char *program, long result) {
    for (size_t i = 0; i < sizeof REASONS / sizeof REASONS[0]; i++) {
        if (REASONS[i].number == -result) {
            end(CANNOT_EXEC, program, REASONS[i].text);
        }
    }
    end(CANNOT_EXEC, program, "cannot be executed");
}

BEGIN_WITH(launch);

__attribute__((noreturn, used)) void launch(char **stack);

#endif
