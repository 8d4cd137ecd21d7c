/* Prints what it is: the path of its file, its short name, its arguments. */
#include <sys/prctl.h>

#include "check.h"

int main(int argc, char **argv) {
    char path[4096] = "", name[16];
    CHECK(readlink("/proc/self/exe", path, sizeof path - 1) > 0);
    prctl(PR_GET_NAME, name);
    printf("%s\n%s\n", path, name);
    for (int i = 0; i < argc; i++) {
        puts(argv[i]);
    }
    return 0;
}
