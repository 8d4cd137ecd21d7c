/* The child of every program of the matrix: says what it sees, and what its own /proc/self/environ shows. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    static char block[1 << 20];
    const char *value = getenv("SECRET");
    FILE *file = fopen("/proc/self/environ", "rb");
    const char *shown = file || errno != EACCES ? "absent" : "clean"; /* not even readable: the process is not dumpable */
    size_t size = file ? fread(block, 1, sizeof block - 1, file) : 0;

    for (size_t at = 0; at < size; at += strlen(block + at) + 1)
        if (strncmp(block + at, "SECRET=", 7) == 0)
            shown = block[at + 7] ? "leaks" : "clean";
    printf("CHILD=%s\nCHILD_ENVIRON=%s\n", value ? value : "", shown);
    return 0;
}
