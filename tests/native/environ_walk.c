/* A program that reads the list itself sees every secret once, instead of its placeholder. */
#include "check.h"

int main(void) {
    int passwords = 0;
    int keys = 0;
    int plain = 0;
    for (char **entry = environ; *entry != NULL; entry++) {
        passwords += same(*entry, "DB_PASSWORD=" PASSWORD);
        keys += same(*entry, "API_KEY=" KEY);
        plain += same(*entry, "PLAIN=plain");
        CHECK(!same(*entry, "DB_PASSWORD="));
    }
    CHECK(passwords == 1 && keys == 1 && plain == 1);
    return done();
}
