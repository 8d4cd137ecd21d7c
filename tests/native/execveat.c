/* execveat DIRECTORY NAME ARG...: becomes a program by the directory that it is in, with the flags in FLAGS. */
#include "check.h"

int main(int argc, char **argv) {
    CHECK(argc > 2);
    int directory = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    execveat(directory, argv[2], argv + 2, environ, atoi(getenv("FLAGS") == NULL ? "0" : getenv("FLAGS")));
    perror("execveat");
    return 1;
}
