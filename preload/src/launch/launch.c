/* The `strongroom` of a bundle: starts the bundle's own interpreter under the bundle's own dynamic loader.
 *
 *     DIR/strongroom VERB ARG...
 *  -> DIR/lib/ld.so --inhibit-cache --library-path DIR/lib DIR/bin/python3 -I -S -B DIR/lib/start.pyc HELD VERB ARG...
 *
 * Static and without a libc, so that it starts in any image. It reads no file. Three things it sees to:
 *
 * - SIGTERM and SIGINT are blocked before anything else, because on PID 1 they would be lost for as long as nobody
 *   handles them (pid_namespaces(7)). HELD lists those that were not blocked before, for start.py to let in again.
 * - The environment is the application's, and much of it would act on our loader, C library and interpreter:
 *   LD_PRELOAD, LD_LIBRARY_PATH, GLIBC_TUNABLES, LC_ALL, OPENSSL_CONF and others. So each string is passed on with
 *   HIDDEN in front, which start.py takes away again.
 * - The directory is found from the running program, so it may lie anywhere, be moved, and be reached by a symbolic
 *   link; without /proc, from the path that was executed.
 */
#include <linux/auxvec.h>
#include <linux/limits.h>
#include <linux/signal.h>

#include "../bytes.h"
#include "../syscalls.h"

enum {
    STANDARD_ERROR = 2,
    CONFIG = 111, /* wrapper/exit_status.py */
    CANNOT_EXEC = 126,
    MAX_LINKS = 40, /* MAXSYMLINKS, linux/namei.h */
};

/* In front of each string of the environment; start.py knows it too. No name of a variable begins with a dot. */
#define HIDDEN '.'

static const char DELETED[] = " (deleted)"; /* d_path() in fs/d_path.c adds it to what was unlinked */

static const struct {
    long number;
    const char *text;
} REASONS[] = {
    {ENOENT, "is missing; copy the whole bundle"},
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

static struct path directory, loader, libraries, interpreter, start;

static void say(const char *text) {
    sys_write(STANDARD_ERROR, text, text_length(text));
}

/* Ends the process with an error line in two parts; one that cannot be written is lost. */
__attribute__((noreturn)) static void end(int status, const char *subject, const char *reason) {
    say("strongroom: error: ");
    say(subject);
    say(": ");
    say(reason);
    say("\n");
    sys_exit_group(status);
}

/* Adds `text`. Returns false and leaves the path as it is if it would be too long. */
static bool path_add(struct path *path, const char *text) {
    size_t length = text_length(text);
    if (path->length + length >= sizeof path->text) {
        return false;
    }
    bytes_copy(path->text + path->length, text, length + 1);
    path->length += length;
    return true;
}

static bool path_set(struct path *path, const char *text) {
    path->length = 0;
    return path_add(path, text);
}

/* Cuts the path behind its last slash. Returns false if it has none. */
static bool path_cut_to_directory(struct path *path) {
    while (path->length > 0 && path->text[path->length - 1] != '/') {
        path->length--;
    }
    path->text[path->length] = '\0';
    return path->length > 0;
}

/* Replaces the path by where the symbolic link `link` leads. Returns false if it is none, or too long. */
static bool path_read_link(struct path *path, const char *link) {
    long length = SYSCALL4(__NR_readlinkat, AT_FDCWD, link, path->text, sizeof path->text - 1);
    if (length < 0 || (size_t)length >= sizeof path->text - 1) {
        return false;
    }
    path->length = (size_t)length;
    path->text[path->length] = '\0';
    return true;
}

/* Makes a relative path absolute. Returns false if that is too long, or the working directory is gone. */
static bool path_make_absolute(struct path *path) {
    static struct path whole;
    if (path->text[0] == '/') {
        return true;
    }
    long size = SYSCALL2(__NR_getcwd, whole.text, sizeof whole.text); /* with the NUL */
    if (size <= 0 || whole.text[0] != '/') {
        return false;
    }
    whole.length = (size_t)size - 1;
    bool done = path_add(&whole, "/") && path_add(&whole, path->text);
    return done && path_set(path, whole.text);
}

static bool exists(const struct path *path) {
    return SYSCALL3(__NR_faccessat, AT_FDCWD, path->text, 0) == 0;
}

/* Sets `loader` to the one in the bundle at `directory`, which ends with a slash; returns whether it is there. */
static bool is_bundle(void) {
    return path_set(&loader, directory.text) && path_add(&loader, "lib/ld.so") && exists(&loader);
}

static bool find_by_proc(void) {
    if (!path_read_link(&directory, "/proc/self/exe")) {
        return false;
    }
    size_t suffix = sizeof DELETED - 1;
    if (directory.length > suffix && text_equal(directory.text + directory.length - suffix, DELETED)) {
        directory.length -= suffix; /* replaced by a newer bundle at the same place */
    }
    return path_cut_to_directory(&directory) && is_bundle();
}

/* `executed` is what the kernel was given to execute (getauxval(3), AT_EXECFN), links and all. */
static bool find_by_name(const char *executed) {
    static struct path program, target;
    if (executed == NULL || !path_set(&program, executed) || !path_make_absolute(&program)) {
        return false;
    }
    for (int links = 0; links < MAX_LINKS && path_read_link(&target, program.text); links++) {
        if (target.text[0] == '/') {
            program.length = 0;
        } else {
            path_cut_to_directory(&program);
        }
        if (!path_add(&program, target.text)) {
            return false;
        }
    }
    return path_cut_to_directory(&program) && path_set(&directory, program.text) && is_bundle();
}

/* The list of --library-path ends entries at colons and semicolons and expands dollar signs (ld.so(8)). */
static void refuse_what_the_loader_cannot_take(void) {
    for (const char *at = directory.text; *at != '\0'; at++) {
        if (*at == ':' || *at == ';' || *at == '$') {
            end(CONFIG, directory.text, "the path of a bundle must not have a colon, a semicolon or a dollar sign");
        }
    }
}

static void set_paths(void) {
    bool fit = path_set(&libraries, directory.text) && path_add(&libraries, "lib") &&
               path_set(&interpreter, directory.text) && path_add(&interpreter, "bin/python3") &&
               path_set(&start, directory.text) && path_add(&start, "lib/start.pyc");
    if (!fit) {
        end(CONFIG, directory.text, "the path is too long");
    }
}

/* Returns zeroed memory that is never given back. */
static void *allocate(size_t bytes) {
    void *memory = sys_mmap(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (is_map_error(memory)) {
        end(CANNOT_EXEC, "memory", "there is none");
    }
    return memory;
}

static size_t count(char *const *list) {
    size_t length = 0;
    while (list[length] != NULL) {
        length++;
    }
    return length;
}

/* Returns the environment for the interpreter: two settings of its own, and `environment` hidden. */
static char **hide(char *const *environment) {
    /* C: no locale data of the image is read, and Python then takes all text for UTF-8 (PEP 540). OPENSSL_CONF: an
     * empty name has OpenSSL read no configuration. LC_CTYPE counts for nothing beside LC_ALL; it stays as it is because
     * the wrapper looks in /proc/self/environ for whether there was one. */
    static char locale[] = "LC_ALL=C", no_configuration[] = "OPENSSL_CONF=";
    size_t variables = count(environment), bytes = 1;
    for (size_t i = 0; i < variables; i++) {
        bytes += text_length(environment[i]) + 2;
    }
    char **hidden = allocate((variables + 3) * sizeof *hidden);
    char *to = allocate(bytes);
    size_t used = 0;
    hidden[used++] = locale;
    hidden[used++] = no_configuration;
    for (size_t i = 0; i < variables; i++) {
        if (text_starts_with(environment[i], "LC_CTYPE=")) {
            hidden[used++] = environment[i];
            continue;
        }
        hidden[used++] = to;
        *to++ = HIDDEN;
        to = bytes_copy(to, environment[i], text_length(environment[i]) + 1);
    }
    return hidden;
}

/* Returns the words after which the loader starts the interpreter, and `arguments` behind them. */
static char **command(char *held, char *const *arguments) {
    static char no_cache[] = "--inhibit-cache", library_path[] = "--library-path", isolated[] = "-I", no_site[] = "-S",
                write_nothing[] = "-B";
    char *words[] = {loader.text, no_cache, library_path,  libraries.text, interpreter.text,
                     isolated,    no_site,  write_nothing, start.text,     held};
    size_t given = count(arguments), fixed = sizeof words / sizeof words[0];
    char **all = allocate((fixed + given + 1) * sizeof *all);
    for (size_t i = 0; i < fixed; i++) {
        all[i] = words[i];
    }
    for (size_t i = 0; i < given; i++) {
        all[fixed + i] = arguments[i];
    }
    return all;
}

static inline kernel_sigset bit(int number) {
    return (kernel_sigset)1 << (number - 1);
}

/* Blocks the signals that end a launch and returns those that were not blocked before, as text. */
static char *hold_signals(void) {
    static char none[] = "-", term[] = "15", interrupt[] = "2", both[] = "15,2";
    kernel_sigset wanted = bit(SIGTERM) | bit(SIGINT), before = 0;
    sys_sigprocmask(SIG_BLOCK, &wanted, &before);
    kernel_sigset held = wanted & ~before;
    if (held == wanted) {
        return both;
    }
    return held == 0 ? none : held == bit(SIGTERM) ? term : interrupt;
}

static const char *executed_path(char *const *environment) {
    const unsigned long *entry = (const unsigned long *)(environment + count(environment) + 1);
    for (; entry[0] != AT_NULL; entry += 2) {
        if (entry[0] == AT_EXECFN) {
            return (const char *)entry[1];
        }
    }
    return NULL;
}

/* Called with the stack as the kernel leaves it: argc, argv, NULL, envp, NULL, auxv. */
__attribute__((noreturn, used)) void launch(char **stack);

void launch(char **stack) {
    char *held = hold_signals();
    char **arguments = stack + 1;
    char **environment = arguments + count(arguments) + 1;
    if (!find_by_proc() && !find_by_name(executed_path(environment))) {
        end(CANNOT_EXEC, "strongroom", "finds no lib/ld.so beside itself; copy the whole bundle, not this file alone");
    }
    refuse_what_the_loader_cannot_take();
    set_paths();
    if (*arguments != NULL) {
        arguments++; /* our own name */
    }
    long result = SYSCALL3(__NR_execve, loader.text, command(held, arguments), hide(environment));
    for (size_t i = 0; i < sizeof REASONS / sizeof REASONS[0]; i++) {
        if (REASONS[i].number == -result) {
            end(CANNOT_EXEC, loader.text, REASONS[i].text);
        }
    }
    end(CANNOT_EXEC, loader.text, "cannot be executed");
}

#if defined(__x86_64__)
__asm__(".globl _start\n"
        "_start:\n"
        "    xor %ebp, %ebp\n"
        "    mov %rsp, %rdi\n"
        "    and $-16, %rsp\n"
        "    call launch\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n"
        "_start:\n"
        "    mov x29, #0\n"
        "    mov x30, #0\n"
        "    mov x0, sp\n"
        "    bl launch\n");
#endif
