/* An application: says that it has started, and ends with status 143 on SIGTERM. */
#include <signal.h>
#include <unistd.h>

static void end(int number) {
    _exit(128 + number);
}

int main(void) {
    signal(SIGTERM, end);
    if (write(STDOUT_FILENO, "started\n", 8) != 8) {
        return 1;
    }
    for (;;) {
        pause();
    }
}
