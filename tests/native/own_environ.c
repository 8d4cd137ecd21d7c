/* /proc/self/environ shows placeholders only. */
#include "check.h"

int main(void) {
    static char shown[1 << 20];
    int fd = open("/proc/self/environ", O_RDONLY);
    ssize_t length = 0;
    for (ssize_t got; (got = read(fd, shown + length, sizeof shown - (size_t)length)) > 0;) {
        length += got;
    }
    CHECK(length > 0);
    CHECK(memmem(shown, (size_t)length, "DB_PASSWORD=", 12) != NULL);
    CHECK(memmem(shown, (size_t)length, PASSWORD, strlen(PASSWORD)) == NULL);
    CHECK(memmem(shown, (size_t)length, KEY, strlen(KEY)) == NULL);
    CHECK(memmem(shown, (size_t)length, "xxxxxxxx", 8) == NULL);
    CHECK(same(getenv("DB_PASSWORD"), PASSWORD));
    return done();
}
