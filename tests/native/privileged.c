/* A program with raised privileges that has the library all the same, as by /etc/ld.so.preload: prints what the library
 * made of an environment that comes from somebody else. */
#include <sys/auxv.h>

#include "check.h"

int main(void) {
    printf("secure %lu\n", getauxval(AT_SECURE));
    printf("password [%s]\n", getenv("DB_PASSWORD"));
    printf("region %s\n", getenv("STRONGROOM_REGION"));
    return 0;
}
