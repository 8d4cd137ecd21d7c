/* For each argument a worker asks for the secret of that name and wipes it. Prints each with the value that is left. */
#include "check.h"

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            char *value = getenv(argv[i]);
            memset(value, 0, strlen(value));
            _exit(0);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child && status == 0);
        printf("%s=%s\n", argv[i], getenv(argv[i]));
    }
    return 0;
}
