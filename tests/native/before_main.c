/* A constructor of the program sees the secret. */
#include "check.h"

static char seen[64];

__attribute__((constructor)) static void early(void) {
    const char *value = getenv("DB_PASSWORD");
    snprintf(seen, sizeof seen, "%s", value == NULL ? "(none)" : value);
}

int main(void) {
    CHECK(same(seen, PASSWORD));
    return done();
}
