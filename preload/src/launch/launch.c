/* The `strongroom` of a bundle: starts the bundle's own interpreter under the bundle's own dynamic loader.
 *
 *     DIR/strongroom VERB ARG...
 *  -> DIR/lib/ld.so --inhibit-cache --library-path DIR/lib DIR/bin/python3 -I -S -B DIR/lib/start.pyc HELD VERB ARG...
 *
 * Static and without a libc, so that it starts in any image. It reads no file. Three things it sees to:
 *
 * - SIGTERM and SIGINT are blocked before anything else, because on PID 1 they would be lost for as long as nobody
 *   handles them (pid_namespaces(7)). HELD lists those that were not blocked before, for cli/bundled.py to let in again.
 * - The environment is the application's, and much of it would act on our loader, C library and interpreter:
 *   LD_PRELOAD, LD_LIBRARY_PATH, GLIBC_TUNABLES, LC_ALL, OPENSSL_CONF and others. So each string is passed on with
 *   HIDDEN in front, which cli/bundled.py takes away again.
 * - The directory is found from the running program, so it may lie anywhere, be moved, and be reached by a symbolic
 *   link; without /proc, from the path that was executed.
 */
#include "process.h"

enum { MAX_LINKS = 40 }; /* MAXSYMLINKS, linux/namei.h */

static const char DELETED[] = " (deleted)"; /* d_path() in fs/d_path.c adds it to what was unlinked */

static struct path directory, loader, libraries, interpreter, start;

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

/* LC_CTYPE counts for nothing beside LC_ALL; it stays as it is because the wrapper looks in /proc/self/environ for whether
 * there was one. */
static bool is_hidden(const char *variable) {
    return !text_starts_with(variable, "LC_CTYPE=");
}

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
    static char no_cache[] = "--inhibit-cache", library_path[] = "--library-path", isolated[] = "-I", no_site[] = "-S",
                write_nothing[] = "-B";
    char *words[] = {loader.text,      no_cache, library_path, libraries.text,
                     interpreter.text, isolated, no_site,      write_nothing,
                     start.text,       held,     NULL};
    /* C: no locale data of the image is read, and Python then takes all text for UTF-8 (PEP 540). OPENSSL_CONF: an
     * empty name has OpenSSL read no configuration. */
    static char locale[] = "LC_ALL=C", no_configuration[] = "OPENSSL_CONF=";
    char *own[] = {locale, no_configuration, NULL};
    long result = SYSCALL3(__NR_execve, loader.text, joined(words, arguments), hide(own, environment, is_hidden));
    end_unexecuted(loader.text, result);
}
