/* Started with PLAIN twice. After both are unset stale pointers may stand behind the end of the list; they must not
 * bring back a secret that was unset as well. */
#include "check.h"

int main(void) {
    CHECK(same(getenv("DB_PASSWORD"), PASSWORD));
    CHECK(unsetenv("PLAIN") == 0);
    CHECK(getenv("PLAIN") == NULL);
    CHECK(same(getenv("DB_PASSWORD"), PASSWORD));
    CHECK(unsetenv("DB_PASSWORD") == 0);
    CHECK(getenv("DB_PASSWORD") == NULL);
    return done();
}
