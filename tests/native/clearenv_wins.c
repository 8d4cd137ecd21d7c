/* clearenv() empties everything; what is set afterwards is there. */
#include "check.h"

int main(void) {
    CHECK(clearenv() == 0);
    CHECK(getenv("DB_PASSWORD") == NULL);
    CHECK(getenv("PLAIN") == NULL);
    CHECK(setenv("DB_PASSWORD", "again", 1) == 0);
    CHECK(same(getenv("DB_PASSWORD"), "again"));
    CHECK(getenv("API_KEY") == NULL);
    return done();
}
