/* Through thousands of random changes of the environment our getenv() gives the same pointer as the one of the libc.
 * Arguments: path of the libc, seed. */
#include <dlfcn.h>

#include "check.h"

enum { ROUNDS = 4000 };

static const char *const NAMES[] = {
    "DB_PASSWORD", "API_KEY", "EMPTY_SECRET", "LONG_SECRET", "PLAIN", "BLANK", "PATH", "HOME", "D", "DB", "DB_PASSWOR",
    "DB_PASSWORDS", "API", "API_KEY_", "P", "PL", "PLAINE", "E", "EMPTY", "X", "_", "a", "NEW_ONE", "NEW_TWO", "A B",
    "LD_PRELOAD", "STRONGROOM_REGION", "\xc3\xa4",
};
enum { COUNT = sizeof NAMES / sizeof NAMES[0] };

static char *slots[COUNT];

static void change(void) {
    const char *name = NAMES[rand() % COUNT];
    switch (rand() % 8) {
    case 0:
    case 1:
        CHECK(setenv(name, rand() % 2 ? "v" : "", rand() % 2) == 0);
        break;
    case 2:
    case 3:
        CHECK(unsetenv(name) == 0);
        break;
    case 4: {
        int i = rand() % COUNT;
        slots[i] = malloc(64); /* never freed: a list may still hold the old one */
        snprintf(slots[i], 64, "%s=put%d", NAMES[i], rand());
        CHECK(putenv(slots[i]) == 0);
        break;
    }
    case 5:
        if (rand() % 40 == 0) {
            clearenv();
        }
        break;
    default:
        break;
    }
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    void *libc = dlopen(argv[1], RTLD_NOW);
    CHECK(libc != NULL);
    char *(*theirs)(const char *) = (char *(*)(const char *))dlsym(libc, "getenv");
    CHECK(theirs != NULL && theirs != getenv);
    srand((unsigned)atoi(argv[2]));
    char **initial = environ;
    int agreed = 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < COUNT; i++) {
            char *ours = getenv(NAMES[i]);
            if (ours != theirs(NAMES[i])) {
                printf("round %d: %s differs\n", round, NAMES[i]);
                return 1;
            }
            agreed += ours != NULL;
        }
        change();
        if (rand() % 500 == 0) {
            environ = initial;
        }
    }
    CHECK(agreed > ROUNDS);
    return done();
}
