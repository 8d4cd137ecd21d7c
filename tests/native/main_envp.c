/* The third argument of main() shows the secrets. */
#include "check.h"

int main(int argc, char **argv, char **envp) {
    (void)argc;
    (void)argv;
    int found = 0;
    for (char **entry = envp; *entry != NULL; entry++) {
        found += same(*entry, "DB_PASSWORD=" PASSWORD);
    }
    CHECK(found == 1);
    return done();
}
