/* Prints the open descriptors, one line of numbers, and what LD_PRELOAD and STRONGROOM_REGION look like. */
#include <dirent.h>

#include "check.h"

int main(void) {
    DIR *directory = opendir("/proc/self/fd");
    CHECK(directory != NULL);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(directory)) {
            printf("%s ", entry->d_name);
        }
    }
    puts("");
    return 0;
}
