/* The `strongroom` of an installed wheel: starts the interpreter that it was installed for, by itself.
 *
 *     BIN/strongroom VERB ARG...
 *  -> PYTHON -I[S] BIN/strongroom-start --held=HELD VERB ARG...
 *
 * PYTHON is the interpreter in the first line of BIN/strongroom-start, where pip has written it. A script that names it
 * there itself could not do what this program does, before there is an interpreter:
 *
 * - PYTHONHOME and PYTHONPATH are the application's, and -I has Python leave them alone (but for PYTHONEXECUTABLE).
 * - SIGTERM and SIGINT are blocked. On PID 1 they would be lost for as long as nobody handles them (pid_namespaces(7)),
 *   and SIGINT would end in a traceback. HELD lists those that were not blocked before, to be let in again.
 * - What would act on the interpreter's dynamic loader, C library or OpenSSL gets HIDDEN in front of its name, for the
 *   verbs that start applications; strongroom/isolation.py knows it too. LD_LIBRARY_PATH stays, for there are
 *   interpreters that find their own library by it.
 */
#include "process.h"

static const char *const HIDES[] = {"PYTHON", "LD_", "GLIBC_TUNABLES=", "MALLOC_", "OPENSSL_", "SSLKEYLOGFILE=", NULL};
static const char *const STAYS[] = {"LD_LIBRARY_PATH=", NULL};
static const char *const STARTS_APPLICATIONS[] = {"run", "exec", "plan", NULL};

static const char NOT_INSTALLED[] = "does not name an interpreter; install the wheel with pip, pipx or uv";

/* How installers begin a script whose interpreter has a path that is long or has spaces: a shell finds the exec, and
 * Python a string. */
static const char BY_SHELL[] = "#!/bin/sh\n'''exec' ";

static struct path directory, script, interpreter;
static char head[PATH_MAX + 256];

static bool begins_with_one_of(const char *text, const char *const *prefixes) {
    for (; *prefixes != NULL; prefixes++) {
        if (text_starts_with(text, *prefixes)) {
            return true;
        }
    }
    return false;
}

static bool is_one_of(const char *text, const char *const *list) {
    for (; *list != NULL; list++) {
        if (text_equal(text, *list)) {
            return true;
        }
    }
    return false;
}

static void find_script(char *const *environment) {
    const char *executed = executed_path(environment);
    bool found = path_read_link(&directory, "/proc/self/exe") || (executed != NULL && path_set(&directory, executed));
    if (!found || !path_cut_to_directory(&directory) || !path_set(&script, directory.text) ||
        !path_add(&script, "strongroom-start")) {
        end(CANNOT_EXEC, "strongroom", "cannot tell where it is installed");
    }
}

static void read_script(void) {
    long file = SYSCALL4(__NR_openat, AT_FDCWD, script.text, O_RDONLY | O_CLOEXEC, 0);
    if (file < 0) {
        end_unexecuted(script.text, file);
    }
    long length = SYSCALL3(__NR_read, file, head, sizeof head - 1);
    SYSCALL1(__NR_close, file);
    head[length > 0 ? length : 0] = '\0';
}

/* Sets `interpreter` to what the script's first lines name. */
static void find_interpreter(void) {
    const char *name = head;
    char last = '\n';
    if (text_starts_with(head, BY_SHELL)) {
        name += sizeof BY_SHELL - 1;
        last = ' ';
        if (*name == '"') {
            name++;
            last = '"';
        }
    } else if (text_starts_with(head, "#!")) {
        name += 2;
    }
    size_t length = 0;
    while (name[length] != last && name[length] != '\n' && name[length] != '\0') {
        length++;
    }
    if (*name != '/' || length >= sizeof interpreter.text) {
        end(CANNOT_EXEC, script.text, NOT_INSTALLED);
    }
    bytes_copy(interpreter.text, name, length)[0] = '\0';
    interpreter.length = length;
}

/* What looks hidden already must be the same again when that is taken away: the name behind the dots decides. */
static bool is_hidden(const char *variable) {
    const char *name = variable;
    while (*name == HIDDEN) {
        name++;
    }
    return begins_with_one_of(name, HIDES) && !begins_with_one_of(variable, STAYS);
}

void launch(char **stack) {
    char *held = hold_signals();
    char **arguments = stack + 1;
    char **environment = arguments + count(arguments) + 1;
    find_script(environment);
    read_script();
    find_interpreter();
    if (*arguments != NULL) {
        arguments++; /* our own name */
    }
    bool is_launch = *arguments != NULL && is_one_of(*arguments, STARTS_APPLICATIONS);
    /* A launch does without the interpreter's `site` module. */
    static char isolated[] = "-I", quick[] = "-IS", held_word[32] = "--held=", *nothing[] = {NULL};
    bytes_copy(held_word + sizeof "--held=" - 1, held, text_length(held) + 1);
    char *words[] = {interpreter.text, is_launch ? quick : isolated, script.text, held_word, NULL};
    long result = SYSCALL3(__NR_execve, interpreter.text, joined(words, arguments),
                           is_launch ? hide(nothing, environment, is_hidden) : environment);
    end_unexecuted(interpreter.text, result);
}
