/* bash and others write into their environment strings. They may, and nobody else sees it: the argument is the
 * descriptor of the region, which must still hold the old text. */
#include <sys/mman.h>

#include "check.h"

int main(int argc, char **argv) {
    CHECK(argc == 3);
    char *shared = mmap(NULL, (size_t)atol(argv[2]), PROT_READ, MAP_SHARED, atoi(argv[1]), 0);
    CHECK(shared != MAP_FAILED);
    memset(getenv("DB_PASSWORD"), 'W', strlen(PASSWORD));
    CHECK(same(getenv("DB_PASSWORD"), "WWWWWW"));
    CHECK(memmem(shared, (size_t)atol(argv[2]), "DB_PASSWORD=" PASSWORD, 12 + strlen(PASSWORD)) != NULL);
    return done();
}
