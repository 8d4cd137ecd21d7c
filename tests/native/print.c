/* Prints each argument with its value: "NAME=VALUE", or "NAME" alone when it is unset. */
#include "check.h"

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const char *value = getenv(argv[i]);
        printf(value == NULL ? "%s\n" : "%s=%s\n", argv[i], value);
    }
    return 0;
}
