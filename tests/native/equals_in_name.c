/* A name that contains '=' is not a name: not for a secret, not for an entry that would match it byte by byte. */
#include "check.h"

int main(void) {
    CHECK(getenv("DB_PASSWORD=") == NULL);
    CHECK(getenv("DB_PASSWORD=" PASSWORD) == NULL);
    CHECK(getenv("DB_PASSWORD=s3") == NULL);
    CHECK(getenv("PLAIN=plain") == NULL);
    CHECK(getenv("=") == NULL);
    char *list[] = {"A=B=C", "=D=E", NULL};
    environ = list;
    CHECK(getenv("A=B") == NULL);
    CHECK(getenv("=D") == NULL);
    CHECK(same(getenv("A"), "B=C"));
    return done();
}
