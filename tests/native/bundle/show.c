/* An application: prints the variable SECRET, stays until its input ends, and ends with status 7. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void) {
    const char *secret = getenv("SECRET");
    char byte;
    printf("%s\n", secret == NULL ? "(none)" : secret);
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    return 7;
}
