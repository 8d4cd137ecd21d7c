/* A library whose constructor asks for a secret, possibly before the constructor of ours has run. */
#include <stdlib.h>

const char *seen_by_library = "(not run)";

__attribute__((constructor)) static void early(void) {
    seen_by_library = getenv("DB_PASSWORD");
}
