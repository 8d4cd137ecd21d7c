/* execveat DIRECTORY NAME ARG...: becomes a program by the directory that it is in. */
#include "check.h"

int main(int argc, char **argv) {
    CHECK(argc > 2);
    int directory = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    execveat(directory, argv[2], argv + 2, environ, 0);
    perror("execveat");
    return 1;
}
