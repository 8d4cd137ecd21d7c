/* A program may set `environ` to any list, also one that ends right before memory that must not be read. */
#include <sys/mman.h>

#include "check.h"

int main(void) {
    char **initial = environ;
    long page = sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 2 * (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED);
    CHECK(mprotect(pages + page, (size_t)page, PROT_NONE) == 0);
    char **list = (char **)(pages + page) - 2;

    list[0] = "ONLY=one";
    list[1] = NULL;
    environ = list;
    CHECK(getenv("DB_PASSWORD") == NULL);
    CHECK(getenv("NOT_THERE") == NULL);
    CHECK(same(getenv("ONLY"), "one"));

    list[0] = "DB_PASSWORD=other";
    CHECK(same(getenv("DB_PASSWORD"), "other"));

    environ = list + 1;
    CHECK(getenv("DB_PASSWORD") == NULL);

    environ = NULL;
    CHECK(getenv("DB_PASSWORD") == NULL);

    environ = initial;
    CHECK(same(getenv("DB_PASSWORD"), PASSWORD));

    /* The old way to empty the environment in place. */
    environ[0] = NULL;
    CHECK(getenv("DB_PASSWORD") == NULL);
    CHECK(getenv("PLAIN") == NULL);
    return done();
}
