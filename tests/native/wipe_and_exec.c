/* Overwrites a secret in place, as careful programs do with what getenv() gave them, and starts the program of its
 * argument. */
#include "check.h"

int main(int argc, char **argv) {
    CHECK(argc == 2);
    memset(getenv("DB_PASSWORD"), 0, strlen(PASSWORD));
    CHECK(same(getenv("DB_PASSWORD"), ""));
    execv(argv[1], (char *[]){argv[1], "DB_PASSWORD", "API_KEY", NULL});
    perror("execv");
    return 1;
}
