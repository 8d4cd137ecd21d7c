/* Starts the program of its argument many times in every way, successfully and not, and checks that neither a
 * descriptor nor a mapping nor a child is left. */
#include <spawn.h>

#include "check.h"

enum { ROUNDS = 50 };

static int count_lines(const char *path) {
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    int lines = 0;
    for (int c; (c = getc(file)) != EOF;) {
        lines += c == '\n';
    }
    fclose(file);
    return lines;
}

static int highest_descriptor(void) {
    int fd = open("/dev/null", O_RDONLY);
    int high = fcntl(fd, F_DUPFD, 100);
    CHECK(fd >= 0 && high >= 100);
    close(fd);
    close(high);
    return fd * 1000 + high;
}

static void await(pid_t child, int expected) {
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(status == expected);
}

static void round_of(const char *program) {
    char *argv[] = {(char *)program, NULL};
    char *missing[] = {"/nonexistent", NULL};
    pid_t child;

    CHECK(posix_spawn(&child, program, NULL, NULL, argv, environ) == 0);
    await(child, 0);
    CHECK(posix_spawn(&child, "/nonexistent", NULL, NULL, missing, environ) == ENOENT);
    CHECK(posix_spawnp(&child, "nonexistent", NULL, NULL, missing, environ) == ENOENT);

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    child = vfork();
    if (child == 0) {
        execv(program, argv);
        _exit(127);
    }
    await(child, 0);
    child = vfork();
    if (child == 0) {
        execvp("nonexistent", missing);
        _exit(errno == ENOENT ? 3 : 4);
    }
    await(child, 3 << 8);
    errno = 0;
    CHECK(execv("/nonexistent", missing) == -1 && errno == ENOENT);
    CHECK(execl("/", "/", (char *)NULL) == -1 && errno == EACCES);

    CHECK(system("exit 7") == 7 << 8);
    FILE *stream = popen("cat >/dev/null; exit 3", "w");
    CHECK(stream != NULL);
    CHECK(pclose(stream) == 3 << 8);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    round_of(argv[1]);
    count_lines("/proc/self/maps");
    int mappings = count_lines("/proc/self/maps");
    int descriptors = highest_descriptor();
    for (int i = 0; i < ROUNDS; i++) {
        round_of(argv[1]);
    }
    CHECK(count_lines("/proc/self/maps") == mappings);
    CHECK(highest_descriptor() == descriptors);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    return done();
}
