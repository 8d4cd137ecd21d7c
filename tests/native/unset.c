/* unsetenv() wins, for a secret itself and for its neighbours. */
#include "check.h"

int main(void) {
    CHECK(unsetenv("PLAIN") == 0);
    CHECK(same(getenv("DB_PASSWORD"), PASSWORD));
    CHECK(unsetenv("DB_PASSWORD") == 0);
    CHECK(getenv("DB_PASSWORD") == NULL);
    CHECK(secure_getenv("DB_PASSWORD") == NULL);
    CHECK(same(getenv("API_KEY"), KEY));
    CHECK(unsetenv("API_KEY") == 0);
    CHECK(getenv("API_KEY") == NULL);
    CHECK(getenv("PLAIN") == NULL);
    return done();
}
