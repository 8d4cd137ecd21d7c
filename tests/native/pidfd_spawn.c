/* Starts the program of its second argument by the function that the first one names, and waits for it. */
#include <stdbool.h>

#include "check.h"

int pidfd_spawn(int *pidfd, const char *path, const void *actions, const void *attributes, char *const argv[],
                char *const envp[]);
int pidfd_spawnp(int *pidfd, const char *file, const void *actions, const void *attributes, char *const argv[],
                 char *const envp[]);

int main(int argc, char **argv) {
    CHECK(argc == 3);
    int pidfd;
    bool search = same(argv[1], "pidfd_spawnp");
    int error = (search ? pidfd_spawnp : pidfd_spawn)(&pidfd, argv[2], NULL, NULL, argv + 2, environ);
    if (error != 0) {
        printf("%s\n", strerror(error));
        return 1;
    }
    siginfo_t info;
    CHECK(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) == 0);
    return info.si_status;
}
