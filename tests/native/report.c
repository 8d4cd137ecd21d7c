/* Prints all that a program inherits: arguments, environment (but for the variables of the library), directory,
 * file mode mask, blocked and ignored signals, process group relation, and descriptors with their flags. */
#include <dirent.h>
#include <sys/stat.h>

#include "check.h"

static void print_text(const char *label, const char *text) {
    printf("%s ", label);
    for (; *text != '\0'; text++) {
        if (*text > ' ' && *text < 127 && *text != '%') {
            putchar(*text);
        } else {
            printf("%%%02x", (unsigned char)*text);
        }
    }
    putchar('\n');
}

static void print_signals(void) {
    FILE *status = fopen("/proc/self/status", "r");
    CHECK(status != NULL);
    char line[256];
    while (fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, "SigBlk:", 7) == 0 || strncmp(line, "SigIgn:", 7) == 0) {
            fputs(line, stdout);
        }
    }
    fclose(status);
}

static void print_descriptors(void) {
    for (int fd = 0; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFL);
        if (flags >= 0) {
            struct stat status;
            CHECK(fstat(fd, &status) == 0);
            printf("fd %d access %d kind %o\n", fd, flags & O_ACCMODE, (unsigned)(status.st_mode & S_IFMT));
        }
    }
}

int main(int argc, char **argv) {
    printf("argc %d\n", argc);
    for (int i = 0; i < argc; i++) {
        print_text("argv", argv[i]);
    }
    for (char **entry = environ; *entry != NULL; entry++) {
        if (strncmp(*entry, "LD_PRELOAD=", 11) != 0 && strncmp(*entry, "STRONGROOM_REGION=", 18) != 0 &&
            strncmp(*entry, "STRONGROOM_PADDING=", 19) != 0) {
            print_text("env", *entry);
        }
    }
    char directory[4096];
    CHECK(getcwd(directory, sizeof directory) != NULL);
    print_text("cwd", directory);
    mode_t mask = umask(0);
    printf("umask %o\nleads its group %d\n", (unsigned)mask, getpid() == getpgrp());
    print_signals();
    print_descriptors();
    return 5;
}
