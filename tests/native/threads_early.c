/* A library starts threads that ask for secrets from its constructor, which may run before ours: whoever comes first
 * loads the region, and nobody sees a placeholder. Built as a shared object and preloaded behind ours. */
#include <pthread.h>

#include "check.h"

enum { THREADS = 8 };

static pthread_barrier_t start;

static void *ask(void *unused) {
    (void)unused;
    pthread_barrier_wait(&start);
    CHECK(same(getenv("DB_PASSWORD"), PASSWORD));
    return NULL;
}

__attribute__((constructor)) static void early(void) {
    pthread_t threads[THREADS];
    CHECK(pthread_barrier_init(&start, NULL, THREADS) == 0);
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, ask, NULL) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
}
