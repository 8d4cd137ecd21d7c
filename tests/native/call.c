/* Makes one call of the exec family and prints what it gave back, if it gave anything back.
 *
 *   call KIND TARGET DIRECTORY NUMBER ARGUMENT... ENTRY...
 *
 * NUMBER arguments go into argv, argv[0] among them. The entries are the environment; "@" stands for all of `environ`.
 * Kinds without an environment of their own get it as `environ`. A kind that starts a child is waited for. */
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>

#include "check.h"

static char **list;

static void make_list(char **entries) {
    size_t count = 0;
    size_t inherited = 0;
    while (entries[count] != NULL) {
        count++;
    }
    while (environ[inherited] != NULL) {
        inherited++;
    }
    list = calloc(count + inherited + 1, sizeof *list);
    CHECK(list != NULL);
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(entries[i], "@") == 0) {
            memcpy(list + used, environ, inherited * sizeof *list);
            used += inherited;
        } else {
            list[used++] = entries[i];
        }
    }
}

/* Puts 200,000 bytes instead of "@big". */
static void enlarge(char **texts) {
    static char big[200001];
    memset(big, 'x', sizeof big - 1);
    big[1] = '=';
    for (; *texts != NULL; texts++) {
        if (strcmp(*texts, "@big") == 0) {
            *texts = big;
        }
    }
}

/* A situation in which much could go wrong. */
static void set_up(const char *directory) {
    CHECK(chdir(directory) == 0);
    umask(027);
    signal(SIGUSR2, SIG_IGN);
    signal(SIGUSR1, SIG_DFL);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigaddset(&blocked, SIGRTMIN + 3);
    CHECK(sigprocmask(SIG_SETMASK, &blocked, NULL) == 0);
    int fd = open("/dev/null", O_RDWR);
    CHECK(fd >= 0 && dup2(fd, 7) == 7 && dup2(fd, 150) == 150 && dup3(fd, 8, O_CLOEXEC) == 8);
    if (fd != 7 && fd != 8) {
        close(fd);
    }
}

static int print_wait(pid_t child, int error) {
    if (error != 0) {
        printf("error %d\n", error);
        return 0;
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    printf("status %d\n", status);
    return 0;
}

static int spawn_with_everything(const char *target, char **argv) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t mask;
    sigset_t defaults;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGUSR2);
    pid_t child = 0;
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, 1, 20) == 0);
    CHECK(posix_spawn_file_actions_addclose(&actions, 7) == 0);
    CHECK(posix_spawn_file_actions_addopen(&actions, 9, "/dev/zero", O_RDONLY, 0) == 0);
    CHECK(posix_spawnattr_init(&attributes) == 0);
    CHECK(posix_spawnattr_setsigmask(&attributes, &mask) == 0);
    CHECK(posix_spawnattr_setsigdefault(&attributes, &defaults) == 0);
    CHECK(posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP) ==
          0);
    int error = posix_spawn(&child, target, &actions, &attributes, argv, list);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return print_wait(child, error);
}

static int spawn_and_close_all(const char *target, char **argv) {
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 34)
    posix_spawn_file_actions_t actions;
    pid_t child = 0;
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_addclosefrom_np(&actions, 3) == 0);
    int error = posix_spawn(&child, target, &actions, NULL, argv, list);
    posix_spawn_file_actions_destroy(&actions);
    return print_wait(child, error);
#else
    (void)target;
    (void)argv;
    puts("not in this libc");
    return 0;
#endif
}

static int read_from(const char *command) {
    FILE *stream = popen(command, "r");
    if (stream == NULL) {
        printf("errno %d\n", errno);
        return 0;
    }
    int flags = fcntl(fileno(stream), F_GETFD);
    for (int c; (c = getc(stream)) != EOF;) {
        putchar(c);
    }
    printf("close on exec %d\npclose %d\n", flags, pclose(stream));
    return 0;
}

static int write_to(const char *command) {
    FILE *other = popen("cat", "w"); /* its pipe must not be open in the next child */
    FILE *stream = popen(command, "we");
    CHECK(other != NULL && stream != NULL);
    signal(SIGPIPE, SIG_IGN); /* a shell that has ended does not read */
    int flags = fcntl(fileno(stream), F_GETFD);
    fputs("from the parent\n", stream);
    int status = pclose(stream); /* the child writes to the same place: nothing is printed until it has ended */
    int other_status = pclose(other);
    printf("close on exec %d\npclose %d\npclose %d\n", flags, status, other_status);
    return 0;
}

int main(int argc, char **argv) {
    CHECK(argc > 4);
    const char *kind = argv[1];
    const char *target = argv[2];
    int count = atoi(argv[4]);
    CHECK(argc >= 5 + count);
    char **arguments = calloc((size_t)count + 1, sizeof *arguments);
    CHECK(arguments != NULL);
    memcpy(arguments, argv + 5, (size_t)count * sizeof *arguments);
    make_list(argv + 5 + count);
    enlarge(arguments);
    enlarge(list);
    set_up(argv[3]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    char **saved = environ;
    pid_t child = 0;
    const char *a = count > 0 ? arguments[0] : NULL;
    const char *b = count > 1 ? arguments[1] : NULL;
    const char *c = count > 2 ? arguments[2] : NULL;

    errno = 0;
    if (strcmp(kind, "execve") == 0) {
        execve(target, arguments, list);
    } else if (strcmp(kind, "execvpe") == 0) {
        execvpe(target, arguments, list);
    } else if (strcmp(kind, "execle") == 0) {
        /* The environment stands behind the first NULL. */
        if (count == 1) {
            execle(target, a, NULL, list);
        } else if (count == 2) {
            execle(target, a, b, NULL, list);
        } else {
            execle(target, a, b, c, NULL, list);
        }
    } else if (strcmp(kind, "fexecve") == 0) {
        int fd = open(target, O_RDONLY);
        fexecve(fd, arguments, list);
    } else if (strcmp(kind, "posix_spawn") == 0) {
        int error = posix_spawn(&child, target, NULL, NULL, arguments, list);
        return print_wait(child, error);
    } else if (strcmp(kind, "posix_spawnp") == 0) {
        int error = posix_spawnp(&child, target, NULL, NULL, arguments, list);
        return print_wait(child, error);
    } else if (strcmp(kind, "posix_spawn-all") == 0) {
        return spawn_with_everything(target, arguments);
    } else if (strcmp(kind, "posix_spawn-closefrom") == 0) {
        return spawn_and_close_all(target, arguments);
    } else {
        environ = list;
        errno = 0;
        if (strcmp(kind, "execv") == 0) {
            execv(target, arguments);
        } else if (strcmp(kind, "execvp") == 0) {
            execvp(target, arguments);
        } else if (strcmp(kind, "execl") == 0) {
            execl(target, a, b, c, NULL);
        } else if (strcmp(kind, "execlp") == 0) {
            execlp(target, a, b, c, NULL);
#if defined(__GLIBC__)
        } else if (strcmp(kind, "execveat") == 0) {
            execveat(AT_FDCWD, target, arguments, list, AT_SYMLINK_NOFOLLOW);
#else
        } else if (strcmp(kind, "execveat") == 0) {
            puts("not in this libc");
            return 0;
#endif
        } else if (strcmp(kind, "system") == 0) {
            printf("system %d\n", system(target));
            return 0;
        } else if (strcmp(kind, "popen-r") == 0) {
            return read_from(target);
        } else if (strcmp(kind, "popen-w") == 0) {
            return write_to(target);
        } else {
            printf("no such kind: %s\n", kind);
            return 2;
        }
    }
    int error = errno;
    environ = saved;
    printf("errno %d\n", error);
    return 0;
}
