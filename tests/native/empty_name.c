/* No variable has an empty name, even when an entry begins with '='. */
#include "check.h"

int main(void) {
    char *list[] = {"=value", "PLAIN=plain", NULL};
    CHECK(getenv("") == NULL);
    environ = list;
    CHECK(getenv("") == NULL);
    CHECK(same(getenv("PLAIN"), "plain"));
    return done();
}
