/* putenv() wins, and the program may change its own string afterwards. */
#include "check.h"

int main(void) {
    static char mine[] = "DB_PASSWORD=mine";
    CHECK(putenv(mine) == 0);
    CHECK(getenv("DB_PASSWORD") == strchr(mine, '=') + 1);
    memcpy(strchr(mine, '=') + 1, "yours", 5);
    CHECK(strncmp(getenv("DB_PASSWORD"), "your", 4) == 0);
    CHECK(same(getenv("API_KEY"), KEY));
    return done();
}
