/* A handler that interrupts getenv() may call getenv(). */
#include <signal.h>
#include <sys/time.h>

#include "check.h"

static volatile sig_atomic_t handled;
static volatile sig_atomic_t wrong;

static void on_timer(int signal_number) {
    (void)signal_number;
    wrong |= !same(getenv("DB_PASSWORD"), PASSWORD) || getenv("NOT_THERE") != NULL;
    handled++;
}

int main(void) {
    struct sigaction action = {.sa_handler = on_timer};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    struct itimerval often = {{0, 200}, {0, 200}};
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    while (handled < 200) {
        CHECK(same(getenv("API_KEY"), KEY));
        CHECK(getenv("NOT_THERE_EITHER") == NULL);
    }
    CHECK(!wrong);
    return done();
}
