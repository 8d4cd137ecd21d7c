/* A name that is not there, whatever part of it is; and plain variables pass through. */
#include "check.h"

int main(void) {
    CHECK(getenv("NOT_THERE") == NULL);
    CHECK(getenv("DB_PASSWOR") == NULL);
    CHECK(getenv("DB_PASSWORDS") == NULL);
    CHECK(getenv("D") == NULL);
    CHECK(getenv("db_password") == NULL);
    CHECK(getenv("PLAI") == NULL);
    CHECK(getenv("PLAINS") == NULL);
    CHECK(same(getenv("PLAIN"), "plain"));
    CHECK(same(getenv("BLANK"), ""));
    return done();
}
