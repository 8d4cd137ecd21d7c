/* A forked child goes on as its parent; what either does to its environment is its own. */
#include "check.h"

int main(void) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(same(getenv("DB_PASSWORD"), PASSWORD));
        CHECK(setenv("DB_PASSWORD", "child", 1) == 0);
        CHECK(unsetenv("API_KEY") == 0);
        _exit(same(getenv("DB_PASSWORD"), "child") && getenv("API_KEY") == NULL ? 0 : 1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(same(getenv("DB_PASSWORD"), PASSWORD));
    CHECK(same(getenv("API_KEY"), KEY));
    return done();
}
