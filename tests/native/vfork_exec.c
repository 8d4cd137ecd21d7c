/* A program started from a vfork child has the secrets, and its own /proc/self/environ does not show them. Started
 * again by itself with the argument "child". */
#include "check.h"

static int child_main(void) {
    CHECK(same(getenv("DB_PASSWORD"), PASSWORD));
    CHECK(same(getenv("PLAIN"), "plain"));
    static char shown[1 << 20];
    int fd = open("/proc/self/environ", O_RDONLY);
    ssize_t length = 0;
    for (ssize_t got; (got = read(fd, shown + length, sizeof shown - (size_t)length)) > 0;) {
        length += got;
    }
    CHECK(length > 0);
    CHECK(memmem(shown, (size_t)length, "DB_PASSWORD=", 12) != NULL);
    CHECK(memmem(shown, (size_t)length, PASSWORD, strlen(PASSWORD)) == NULL);
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 1) {
        return child_main();
    }
    /* vfork() and exec, as many programs do it; the linter of some compilers dislikes it. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    pid_t child = vfork();
    CHECK(child >= 0);
    if (child == 0) {
        execve("/proc/self/exe", (char *[]){argv[0], "child", NULL}, environ);
        _exit(127);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(same(getenv("DB_PASSWORD"), PASSWORD));
    return done();
}
