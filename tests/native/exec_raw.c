/* Starts the program of its arguments by a raw system call, as static programs and Go do it. */
#include <sys/syscall.h>

#include "check.h"

int main(int argc, char **argv) {
    CHECK(argc > 1);
    syscall(SYS_execve, argv[1], argv + 1, environ);
    perror("execve");
    return 1;
}
