/* Many threads ask at once, for secrets, plain variables and misses. */
#include <pthread.h>

#include "check.h"

enum { THREADS = 8, ROUNDS = 20000 };

static void *ask(void *unused) {
    (void)unused;
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(same(getenv("DB_PASSWORD"), PASSWORD));
        CHECK(same(getenv("API_KEY"), KEY));
        CHECK(same(getenv("PLAIN"), "plain"));
        CHECK(getenv("NOT_THERE") == NULL);
    }
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, ask, NULL) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    return done();
}
