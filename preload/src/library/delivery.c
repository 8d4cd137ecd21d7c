#include "delivery.h"

#include "../shared/syscalls.h"

static bool closes_on_exec(int fd) {
    return (sys_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC) != 0;
}

static bool ignores_library(const struct state *state, const struct program *program) {
    return program->kind != PROGRAM_DYNAMIC || program_runs_secure(program) ||
           (state->library[0] != '\0' && !program_can_load(state->library));
}

/* execvp() of glibc gives a file that is not a program to the shell; that of musl does not, nor does posix_spawnp() of either
 * (in glibc since 2.15). */
static long choose_for_shell(const struct state *state, const struct target *target, const char *path) {
    if (!target->search || target->spawned || state->libc.gnu_version == NULL || executable(target, path) != 0) {
        return DELIVERY_LIBRARY;
    }
    struct program program;
    long result = program_look(AT_FDCWD, DELIVERY_SHELL_PATH, &program);
    if (result < 0) {
        return result;
    }
    return program.kind != PROGRAM_NONE && ignores_library(state, &program) ? DELIVERY_SHELL : DELIVERY_LIBRARY;
}

/* Whether the process that posix_spawn() makes may find another program than the one that was looked at, or than none. */
static bool may_differ(const struct target *target, const char *search_path, const struct program *program) {
    bool moves = program == NULL || program->may_move || (target_is_searched(target) && target_search_moves(search_path));
    return (target->acts && moves) || (target->resets_ids && program_ids_differ());
}

long delivery_choose(const struct state *state, const struct target *target, const char *search_path,
                     const char *path) {
    if (path == NULL) { /* the libc will find nothing, either */
        return may_differ(target, search_path, NULL) ? DELIVERY_LOOK : DELIVERY_LIBRARY;
    }
    struct program program;
    long result = program_look(target->directory, target_is_descriptor(target) ? "" : path, &program);
    if (result < 0) {
        return result;
    }
    if (may_differ(target, search_path, &program)) {
        return DELIVERY_LOOK;
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
    if (target_is_descriptor(target) && program.is_script && closes_on_exec(target->directory)) {
        return DELIVERY_LIBRARY; /* ENOENT: its interpreter could not open it (execveat(2), BUGS) */
    }
    result = executable(target, path);
    return result < 0 ? result : DELIVERY_TRACER;
}
