/* What the small test programs share. Each is started with the environment that tests/preload/launch.py makes:
 * the secrets DB_PASSWORD and API_KEY, EMPTY_SECRET (whose value is empty), LONG_SECRET (200,000 bytes of 'x'), and the
 * plain variables PLAIN=plain and BLANK=. A program prints "ok" when all it checks holds. */
#ifndef STRONGROOM_TEST_CHECK_H
#define STRONGROOM_TEST_CHECK_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PASSWORD "s3cret"
#define KEY "k-0123456789"
#define LONG_BYTES 200000

extern char **environ;

#define CHECK(condition)                                                        \
    do {                                                                        \
        if (!(condition)) {                                                     \
            printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);      \
            exit(1);                                                            \
        }                                                                       \
    } while (0)

/* Whether both are NULL or the same text. */
static inline int same(const char *left, const char *right) {
    return left == NULL || right == NULL ? left == right : strcmp(left, right) == 0;
}

static inline int done(void) {
    puts("ok");
    return 0;
}

#endif
