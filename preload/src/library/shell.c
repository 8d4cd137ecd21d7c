/* system(), popen() and pclose().
 *
 * The libc's own start their shell from inside, with the environment as it is, past any wrapper. So where `environ`
 * holds secrets they are done here, on top of posix_spawn(); else the libc's are called. Differences: system() is not a
 * cancellation point; fclose() of a stream from popen() leaves the child to be waited for; pclose() gives the status of
 * the child even when the last write failed, where glibc gives -1 instead of status 0.
 */
#include <linux/wait.h>

#include "../shared/bytes.h"
#include "../shared/environment.h"
#include "export.h"
#include "child_environment.h"
#include "spawn.h"
#include "../shared/syscalls.h"

EXPORT int system(const char *command);
EXPORT void *popen(const char *command, const char *mode);
EXPORT int pclose(void *stream);

#define SHELL "/bin/sh"

/* <spawn.h>; the same in both libcs. */
enum { SPAWN_SETSIGDEF = 4, SPAWN_SETSIGMASK = 8 };

/* The kernel's struct sigaction. Contents read from the kernel are written back unchanged, so it does not matter that
 * the order differs from the libc's. */
struct kernel_action {
    void *handler;
    unsigned long flags;
    void *restorer_or_mask[2];
};

static long set_action(int signal_number, const struct kernel_action *action, struct kernel_action *old) {
    return SYSCALL4(__NR_rt_sigaction, signal_number, action, old, sizeof(kernel_sigset));
}

/* Waits for one child. Returns its wait status or a negative errno value. */
static long wait_for(int pid) {
    int status;
    long result;
    do {
        result = SYSCALL4(__NR_wait4, pid, &status, 0, NULL);
    } while (result == -EINTR);
    return result < 0 ? result : status;
}

/* Threads that are in system() at this moment share one change of the dispositions of SIGINT and SIGQUIT. */
static struct {
    int lock;
    unsigned users;
    struct kernel_action interrupt;
    struct kernel_action quit;
} shared;

/* A lock, taken with all signals blocked for a few system calls. Returns which were blocked before. */
static kernel_sigset lock_shared(void) {
    kernel_sigset all = ~(kernel_sigset)0;
    kernel_sigset before;
    sys_sigprocmask(SIG_SETMASK, &all, &before);
    while (__atomic_exchange_n(&shared.lock, 1, __ATOMIC_ACQUIRE) != 0) {
        sys_sched_yield();
    }
    return before;
}

static void unlock_shared(kernel_sigset before) {
    __atomic_store_n(&shared.lock, 0, __ATOMIC_RELEASE);
    sys_sigprocmask(SIG_SETMASK, &before, NULL);
}

static void ignore_interrupts(void) {
    static const struct kernel_action ignore = {.handler = (void *)1}; /* SIG_IGN */
    kernel_sigset before = lock_shared();
    if (shared.users++ == 0) {
        set_action(SIGINT, &ignore, &shared.interrupt);
        set_action(SIGQUIT, &ignore, &shared.quit);
    }
    unlock_shared(before);
}

static void restore_interrupts(void) {
    kernel_sigset before = lock_shared();
    if (--shared.users == 0) {
        set_action(SIGINT, &shared.interrupt, NULL);
        set_action(SIGQUIT, &shared.quit, NULL);
    }
    unlock_shared(before);
}

/* Starts the shell for system(). The child gets the signal mask from before, and the dispositions of SIGINT and SIGQUIT
 * from before: default, unless they were ignored. */
static int spawn_for_system(const struct libc *libc, const char *command, kernel_sigset mask_before, int *pid) {
    const char *argv[] = {"sh", "-c", command, NULL};
    union spawn_attributes attributes;
    union signal_set defaults = {.bytes = {0}};
    union signal_set mask = {.bytes = {0}};
    mask.first_64 = mask_before;
    if (shared.interrupt.handler != (void *)1) {
        defaults.first_64 |= signal_bit(SIGINT);
    }
    if (shared.quit.handler != (void *)1) {
        defaults.first_64 |= signal_bit(SIGQUIT);
    }
    int error = libc->attributes_init(&attributes);
    if (error != 0) {
        return error;
    }
    libc->attributes_set_mask(&attributes, &mask);
    libc->attributes_set_default(&attributes, &defaults);
    libc->attributes_set_flags(&attributes, SPAWN_SETSIGDEF | SPAWN_SETSIGMASK);
    error = spawn_child(pid, SHELL, false, NULL, &attributes, (char *const *)argv, environment_now());
    libc->attributes_destroy(&attributes);
    return error;
}

int system(const char *command) {
    const struct state *state = state_load(NULL);
    if (state == NULL || state->libc.system == NULL) {
        spawn_set_errno(-ENOSYS);
        return -1;
    }
    if (command == NULL || !child_environment_concerns(state, environment_now())) {
        return state->libc.system(command);
    }
    enum { NOT_FOUND = 127 << 8 }; /* the wait status of a shell that could not be executed */
    kernel_sigset child = signal_bit(SIGCHLD);
    kernel_sigset before;
    ignore_interrupts();
    sys_sigprocmask(SIG_BLOCK, &child, &before);
    int pid;
    int error = spawn_for_system(&state->libc, command, before, &pid);
    long status = error == 0 ? wait_for(pid) : -error;
    restore_interrupts();
    sys_sigprocmask(SIG_SETMASK, &before, NULL);
    spawn_set_errno(status);
    if (status >= 0) {
        return (int)status;
    }
    bool no_child = error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE || error == 0;
    return no_child ? -1 : NOT_FOUND;
}

/* Streams from popen() and their children. Blocks are never freed; a free place has a NULL stream. */
enum { BLOCK_PLACES = 127 };

struct place {
    void *stream;
    int fd;
    int pid;
};

struct block {
    struct block *next;
    struct place places[BLOCK_PLACES];
};

static struct block first_block;

/* Marks a place that is being filled. */
static char reserved;

/* A free place, reserved, or NULL when there is no memory for one. */
static struct place *reserve_place(void) {
    for (struct block *block = &first_block;;) {
        for (size_t i = 0; i < BLOCK_PLACES; i++) {
            void *expected = NULL;
            if (__atomic_compare_exchange_n(&block->places[i].stream, &expected, &reserved, false, __ATOMIC_ACQUIRE,
                                            __ATOMIC_RELAXED)) {
                return &block->places[i];
            }
        }
        struct block *next = __atomic_load_n(&block->next, __ATOMIC_ACQUIRE);
        if (next == NULL) {
            struct block *fresh = sys_mmap(sizeof *fresh, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
            if (is_map_error(fresh)) {
                return NULL;
            }
            if (__atomic_compare_exchange_n(&block->next, &next, fresh, false, __ATOMIC_RELEASE, __ATOMIC_ACQUIRE)) {
                next = fresh;
            } else {
                sys_munmap(fresh, sizeof *fresh);
            }
        }
        block = next;
    }
}

/* Calls `visit` for each place in use until it returns true; returns that place, or NULL. */
static struct place *find_place(bool (*visit)(const struct place *place, void *stream, void *context), void *context) {
    for (struct block *block = &first_block; block != NULL; block = __atomic_load_n(&block->next, __ATOMIC_ACQUIRE)) {
        for (size_t i = 0; i < BLOCK_PLACES; i++) {
            void *stream = __atomic_load_n(&block->places[i].stream, __ATOMIC_ACQUIRE);
            if (stream != NULL && stream != &reserved && visit(&block->places[i], stream, context)) {
                return &block->places[i];
            }
        }
    }
    return NULL;
}

static bool is_stream(const struct place *place, void *stream, void *context) {
    (void)place;
    return stream == context;
}

struct closing {
    const struct libc *libc;
    union spawn_actions *actions;
};

/* "The popen() function shall ensure that any streams from previous popen() calls that remain open in the parent process
 * are closed in the new child process." (POSIX) */
static bool add_close(const struct place *place, void *stream, void *context) {
    (void)stream;
    struct closing *closing = context;
    closing->libc->actions_add_close(closing->actions, place->fd);
    return false;
}

/* What a mode string asks for. */
struct mode {
    bool reads;
    bool writes;
    bool close_on_exec;
};

static struct mode read_mode(const char *text) {
    struct mode mode = {false, false, false};
    for (; *text != '\0'; text++) {
        mode.reads |= *text == 'r';
        mode.writes |= *text == 'w';
        mode.close_on_exec |= *text == 'e';
    }
    return mode;
}

/* Starts the shell with `child_end` as its standard input or output. Returns 0 or an errno value. */
static int spawn_for_popen(const struct libc *libc, const char *command, int child_end, int standard, int *pid) {
    const char *argv[] = {"sh", "-c", command, NULL};
    union spawn_actions actions;
    int error = libc->actions_init(&actions);
    if (error != 0) {
        return error;
    }
    struct closing closing = {libc, &actions};
    find_place(add_close, &closing);
    /* Same number on both sides: dup2 of the libc then takes close-on-exec away (glibc since 2.29, musl). */
    error = libc->actions_add_dup2(&actions, child_end, standard);
    if (error == 0) {
        error = spawn_child(pid, SHELL, false, &actions, NULL, (char *const *)argv, environment_now());
    }
    libc->actions_destroy(&actions);
    return error;
}

void *popen(const char *command, const char *mode_text) {
    const struct state *state = state_load(NULL);
    if (state == NULL || state->libc.popen == NULL) {
        spawn_set_errno(-ENOSYS);
        return NULL;
    }
    struct mode mode = read_mode(mode_text);
    /* A wrong mode is the libc's to refuse. */
    if (mode.reads == mode.writes || !child_environment_concerns(state, environment_now())) {
        return state->libc.popen(command, mode_text);
    }
    const struct libc *libc = &state->libc;
    struct place *place = reserve_place();
    if (place == NULL) {
        spawn_set_errno(-ENOMEM);
        return NULL;
    }
    int ends[2];
    long result = SYSCALL2(__NR_pipe2, ends, O_CLOEXEC);
    if (result >= 0) {
        int ours = mode.reads ? ends[0] : ends[1];
        int theirs = mode.reads ? ends[1] : ends[0];
        void *stream = libc->fdopen(ours, mode.reads ? "r" : "w");
        int error = stream == NULL ? ENOMEM : spawn_for_popen(libc, command, theirs, mode.reads ? 1 : 0, &place->pid);
        sys_close(theirs);
        if (error == 0) {
            if (!mode.close_on_exec) {
                sys_fcntl(ours, F_SETFD, 0);
            }
            place->fd = ours;
            __atomic_store_n(&place->stream, stream, __ATOMIC_RELEASE);
            return stream;
        }
        if (stream == NULL) {
            sys_close(ours);
        } else {
            libc->fclose(stream);
        }
        result = -error;
    }
    __atomic_store_n(&place->stream, NULL, __ATOMIC_RELEASE);
    spawn_set_errno(result);
    return NULL;
}

int pclose(void *stream) {
    const struct state *state = state_load(NULL);
    if (state == NULL || state->libc.pclose == NULL) {
        spawn_set_errno(-ENOSYS);
        return -1;
    }
    struct place *place = find_place(is_stream, stream);
    if (place == NULL) {
        return state->libc.pclose(stream);
    }
    int pid = place->pid;
    /* Given back before the stream is closed: from then on a new stream may have the same address. */
    __atomic_store_n(&place->stream, NULL, __ATOMIC_RELEASE);
    state->libc.fclose(stream);
    long status = wait_for(pid);
    spawn_set_errno(status);
    return status < 0 ? -1 : (int)status;
}
