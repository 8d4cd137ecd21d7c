/* setenv() wins; with overwrite 0 it sees that there is a value already. */
#include "check.h"

int main(void) {
    CHECK(setenv("DB_PASSWORD", "other", 0) == 0);
    CHECK(same(getenv("DB_PASSWORD"), PASSWORD));
    CHECK(setenv("DB_PASSWORD", "other", 1) == 0);
    CHECK(same(getenv("DB_PASSWORD"), "other"));
    CHECK(setenv("API_KEY", "", 1) == 0);
    CHECK(same(getenv("API_KEY"), ""));
    CHECK(setenv("NEW", "new", 1) == 0);
    CHECK(same(getenv("NEW"), "new"));
    CHECK(same(getenv("DB_PASSWORD"), "other"));
    CHECK(unsetenv("DB_PASSWORD") == 0);
    CHECK(getenv("DB_PASSWORD") == NULL);
    return done();
}
