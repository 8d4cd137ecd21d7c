/* Starts the program of its argument with PLAIN twice in the environment. */
#include "check.h"

int main(int argc, char **argv) {
    CHECK(argc == 2);
    size_t count = 0;
    while (environ[count] != NULL) {
        count++;
    }
    char **list = calloc(count + 3, sizeof *list);
    CHECK(list != NULL);
    list[0] = "PLAIN=first";
    list[1] = "PLAIN=second";
    size_t used = 2;
    for (size_t i = 0; i < count; i++) {
        if (strncmp(environ[i], "PLAIN=", 6) != 0) {
            list[used++] = environ[i];
        }
    }
    execve(argv[1], (char *[]){argv[1], NULL}, list);
    perror("execve");
    return 1;
}
