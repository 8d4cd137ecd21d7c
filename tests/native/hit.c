/* Secrets are answered, the same pointer every time, and errno is left alone. */
#include "check.h"

int main(void) {
    errno = 4711;
    char *password = getenv("DB_PASSWORD");
    CHECK(same(password, PASSWORD));
    CHECK(getenv("DB_PASSWORD") == password);
    CHECK(secure_getenv("DB_PASSWORD") == password);
    CHECK(same(getenv("API_KEY"), KEY));
    CHECK(same(getenv("EMPTY_SECRET"), ""));
    CHECK(getenv("LONG_SECRET") != NULL && strlen(getenv("LONG_SECRET")) == LONG_BYTES);
    CHECK(getenv("NOT_THERE") == NULL);
    CHECK(errno == 4711);
    return done();
}
