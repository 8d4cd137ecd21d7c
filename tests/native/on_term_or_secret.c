/* Prints its secret, or "nothing", and then waits for SIGTERM, on which it exits with 143 from its beginning on. */
#include <signal.h>

#include "check.h"

static void end(int number) {
    _exit(128 + number);
}

int main(void) {
    signal(SIGTERM, end);
    const char *value = getenv("DB_PASSWORD");
    puts(value != NULL && *value != '\0' ? value : "nothing");
    fflush(stdout);
    for (;;) {
        pause();
    }
}
