/* Threads read a secret while another process changes it thousands of times: every answer is a whole value, values never
 * go back, and what was handed out before stays as it was. The values are "N:" and then N % 200 times the digit N % 10. */
#include <pthread.h>

#include "check.h"

enum { THREADS = 4, KEPT = 64 };

static volatile int last_wanted;

/* The number of a value, having checked all of it. */
static int number_of(const char *value) {
    char *end;
    long number = strtol(value, &end, 10);
    CHECK(end != value && *end == ':');
    size_t length = strlen(end + 1);
    CHECK(length == (size_t)(number % 200));
    for (size_t i = 0; i < length; i++) {
        CHECK(end[1 + i] == '0' + number % 10);
    }
    return (int)number;
}

static void *ask(void *unused) {
    (void)unused;
    const char *kept[KEPT];
    int numbers[KEPT];
    int count = 0;
    int before = -1;
    while (before < last_wanted) {
        const char *value = getenv("CHANGING");
        int number = number_of(value);
        CHECK(number >= before);
        if (number != before && count < KEPT) {
            kept[count] = value;
            numbers[count++] = number;
        }
        before = number;
        CHECK(same(getenv("STEADY"), "steady"));
    }
    for (int i = 0; i < count; i++) {
        CHECK(number_of(kept[i]) == numbers[i]);
    }
    return (void *)(long)count;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    last_wanted = atoi(argv[1]);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, ask, NULL) == 0);
    }
    puts("ready");
    fflush(stdout);
    for (int i = 0; i < THREADS; i++) {
        void *seen;
        CHECK(pthread_join(threads[i], &seen) == 0);
        CHECK((long)seen > 1); /* it saw changes, not only the first and the last value */
    }
    /* What the program says itself wins over a change. */
    CHECK(setenv("CHANGING", "mine", 1) == 0);
    CHECK(same(getenv("CHANGING"), "mine"));
    return done();
}
