/* posix_spawn() and posix_spawnp(), and pidfd_spawn() and pidfd_spawnp() of glibc 2.39.
 *
 * Contract: that of posix_spawn(3), done by the libc; ENOSYS where it has no such function; the environment is passed on
 * as child_environment.h says. The descriptor of the region is open, and inheritable, while the child is made: another
 * thread that forks and execs in this moment hands it to its child as well.
 */
#include "spawn.h"

#include <linux/wait.h>

#include "export.h"
#include "child_environment.h"
#include "../shared/syscalls.h"

/* Since Linux 5.4 and 5.3; kernel headers of older build hosts do not have them. */
#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef __NR_pidfd_open
#define __NR_pidfd_open 434
#endif

EXPORT int posix_spawn(int *pid, const char *path, const void *actions, const void *attributes, char *const argv[],
                       char *const envp[]);
EXPORT int posix_spawnp(int *pid, const char *file, const void *actions, const void *attributes, char *const argv[],
                        char *const envp[]);
EXPORT int pidfd_spawn(int *pidfd, const char *path, const void *actions, const void *attributes, char *const argv[],
                       char *const envp[]);
EXPORT int pidfd_spawnp(int *pidfd, const char *file, const void *actions, const void *attributes, char *const argv[],
                        char *const envp[]);
EXPORT int posix_spawn_file_actions_addclosefrom_np(void *actions, int first);

typedef int spawn_function(int *, const char *, const void *, const void *, char *const *, char *const *);

/* What the caller gets of the child. */
enum handle { HANDLE_PID, HANDLE_PIDFD };

struct request {
    enum handle handle;
    int *child;
    struct target target;
    const void *actions;
    const void *attributes;
    int unnamed; /* child, where the caller does not want to know */
    int result;
};

void spawn_set_errno(long result) {
    const struct state *state = state_load(NULL);
    if (result < 0 && state != NULL && state->libc.errno_location != NULL) {
        *state->libc.errno_location() = (int)-result;
    }
}

static spawn_function *function_of(const struct libc *libc, enum handle handle, bool search) {
    if (handle == HANDLE_PIDFD) {
        return search ? libc->pidfd_spawnp : libc->pidfd_spawn;
    }
    return search ? libc->posix_spawnp : libc->posix_spawn;
}

/* What `process` of struct command is to hold. */
static int process_of(const struct request *request) {
    if (request->result != 0) {
        return -ECHILD;
    }
    return (int)(request->handle == HANDLE_PIDFD ? sys_fcntl(*request->child, F_DUPFD_CLOEXEC, 0)
                                                 : SYSCALL2(__NR_pidfd_open, *request->child, 0));
}

static void run(void *context, const struct command *command) {
    struct request *request = context;
    const struct state *state = state_load(NULL);
    bool named = command->path == NULL;
    spawn_function *spawn = NULL;
    if (state != NULL) {
        spawn = function_of(&state->libc, request->handle, named && request->target.search);
    }
    request->result = spawn == NULL ? ENOSYS
                                    : spawn(request->child, named ? request->target.path : command->path,
                                            request->actions, request->attributes,
                                            named ? request->target.argv : command->argv, command->list);
    if (command->process != NULL) {
        *command->process = process_of(request);
    }
}

/* Waits for a child that the caller is not to know of; it has ended, or is about to. */
static void reap(const struct request *request) {
    const bool by_pidfd = request->handle == HANDLE_PIDFD;
    long result;
    do {
        result = SYSCALL5(__NR_waitid, by_pidfd ? P_PIDFD : P_PID, *request->child, NULL, WEXITED, NULL);
    } while (result == -EINTR);
    if (by_pidfd) {
        sys_close(*request->child);
    }
}

static int start(struct request *request, char *const *list) {
    request->target.spawned = true;
    request->target.acts = request->actions != NULL;
    request->target.resets_ids = request->attributes != NULL; /* POSIX_SPAWN_RESETIDS */
    request->result = -1; /* nothing was started yet */
    if (request->child == NULL) {
        request->child = &request->unnamed;
    }
    long result = child_environment_call(&request->target, list, run, request);
    if (result < 0 && request->result == 0) {
        reap(request);
    }
    return result < 0 ? (int)-result : request->result;
}

static int spawn(enum handle handle, int *child, const char *path, bool search, const void *actions,
                 const void *attributes, char *const *argv, char *const *list) {
    struct request request = {
        .handle = handle,
        .child = child,
        .target = {.directory = AT_FDCWD, .path = path, .search = search, .argv = argv},
        .actions = actions,
        .attributes = attributes,
    };
    return start(&request, list);
}

int spawn_child(int *pid, const char *path, bool search, const void *actions, const void *attributes,
                char *const *argv, char *const *list) {
    return spawn(HANDLE_PID, pid, path, search, actions, attributes, argv, list);
}

int posix_spawn(int *pid, const char *path, const void *actions, const void *attributes, char *const argv[],
                char *const envp[]) {
    return spawn(HANDLE_PID, pid, path, false, actions, attributes, argv, envp);
}

int posix_spawnp(int *pid, const char *file, const void *actions, const void *attributes, char *const argv[],
                 char *const envp[]) {
    return spawn(HANDLE_PID, pid, file, true, actions, attributes, argv, envp);
}

int pidfd_spawn(int *pidfd, const char *path, const void *actions, const void *attributes, char *const argv[],
                char *const envp[]) {
    return spawn(HANDLE_PIDFD, pidfd, path, false, actions, attributes, argv, envp);
}

int pidfd_spawnp(int *pidfd, const char *file, const void *actions, const void *attributes, char *const argv[],
                 char *const envp[]) {
    return spawn(HANDLE_PIDFD, pidfd, file, true, actions, attributes, argv, envp);
}

/* As the kernel writes it. */
struct directory_entry {
    uint64_t inode;
    int64_t next;
    uint16_t bytes;
    uint8_t type;
    char name[];
};

/* The number that a directory entry's name is; -1 for "." and "..". */
static int entry_number(const char *name) {
    int number = 0;
    for (; *name != '\0'; name++) {
        if (*name < '0' || *name > '9') {
            return -1;
        }
        number = number * 10 + (*name - '0');
    }
    return number;
}

/* Adds one action "close" for each descriptor open now from `first` on. Returns 0 or an errno value. */
static int add_closes(const struct libc *libc, void *actions, int first) {
    long directory = sys_openat(AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) {
        return (int)-directory;
    }
    _Alignas(struct directory_entry) char buffer[2048];
    int result = 0;
    for (long got; result == 0 && (got = SYSCALL3(__NR_getdents64, directory, buffer, sizeof buffer)) > 0;) {
        for (long at = 0; at < got && result == 0;) {
            const struct directory_entry *entry = (const void *)(buffer + at);
            int fd = entry_number(entry->name);
            if (fd >= first && fd != directory) {
                result = libc->actions_add_close(actions, fd);
            }
            at += entry->bytes;
        }
    }
    sys_close((int)directory);
    return result;
}

/* "Close everything from here on" would close the region as well, which is opened later, for the child. So what is open
 * now is closed one by one; what another thread opens until the child is made is closed by its own O_CLOEXEC. */
int posix_spawn_file_actions_addclosefrom_np(void *actions, int first) {
    const struct state *state = state_load(NULL);
    if (state == NULL || state->libc.actions_add_closefrom == NULL) {
        return ENOSYS;
    }
    if (first < 0 || !child_environment_concerns(state, environment_now()) ||
        add_closes(&state->libc, actions, first) != 0) {
        return state->libc.actions_add_closefrom(actions, first);
    }
    return 0;
}
