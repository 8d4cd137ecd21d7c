/* posix_spawn() and posix_spawnp().
 *
 * Contract: that of posix_spawn(3), done by the libc; the environment is passed on as passing.h says. The descriptor of
 * the region is open, and inheritable, while the child is made: another thread that forks and execs in this moment hands
 * it to its child as well.
 */
#include "spawn.h"

#include "export.h"
#include "passing.h"
#include "syscalls.h"

EXPORT int posix_spawn(int *pid, const char *path, const void *actions, const void *attributes, char *const argv[],
                       char *const envp[]);
EXPORT int posix_spawnp(int *pid, const char *file, const void *actions, const void *attributes, char *const argv[],
                        char *const envp[]);
EXPORT int posix_spawn_file_actions_addclosefrom_np(void *actions, int first);

struct request {
    int *pid;
    struct target target;
    const void *actions;
    const void *attributes;
    int result;
};

void spawn_set_errno(long result) {
    const struct state *state = state_load(NULL);
    if (result < 0 && state != NULL && state->libc.errno_location != NULL) {
        *state->libc.errno_location() = (int)-result;
    }
}

static void run(void *context, const struct command *command) {
    struct request *request = context;
    const struct state *state = state_load(NULL);
    bool named = command->path == NULL;
    int (*spawn)(int *, const char *, const void *, const void *, char *const *, char *const *) = NULL;
    if (state != NULL) {
        spawn = named && request->target.search ? state->libc.posix_spawnp : state->libc.posix_spawn;
    }
    request->result = spawn == NULL ? ENOSYS
                                    : spawn(request->pid, named ? request->target.path : command->path,
                                            request->actions, request->attributes,
                                            named ? request->target.argv : command->argv, command->list);
}

int spawn_child(int *pid, const char *path, bool search, const void *actions, const void *attributes,
                char *const *argv, char *const *list) {
    struct request request = {
        .pid = pid,
        .target = {.directory = AT_FDCWD, .path = path, .search = search, .spawned = true, .argv = argv},
        .actions = actions,
        .attributes = attributes,
    };
    long result = passing_call(&request.target, list, run, &request);
    return result < 0 ? (int)-result : request.result;
}

int posix_spawn(int *pid, const char *path, const void *actions, const void *attributes, char *const argv[],
                char *const envp[]) {
    return spawn_child(pid, path, false, actions, attributes, argv, envp);
}

int posix_spawnp(int *pid, const char *file, const void *actions, const void *attributes, char *const argv[],
                 char *const envp[]) {
    return spawn_child(pid, file, true, actions, attributes, argv, envp);
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
    if (first < 0 || !passing_concerns(state, environment_now()) || add_closes(&state->libc, actions, first) != 0) {
        return state->libc.actions_add_closefrom(actions, first);
    }
    return 0;
}
