/* A constructor of another library sees the secret. Linked with other_library.c as a shared object. */
#include "check.h"

extern const char *seen_by_library;

int main(void) {
    CHECK(same(seen_by_library, PASSWORD));
    return done();
}
