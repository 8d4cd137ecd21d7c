/* getenv(NULL) answers NULL; a libc may crash. */
#include "check.h"

int main(void) {
    const char *volatile name = NULL;
    CHECK(getenv(name) == NULL);
    CHECK(secure_getenv(name) == NULL);
    return done();
}
