/* entry_stub_bytes CHILD CONSUMED FATAL MASK GADGET: prints the code of the native tracer, for pages and places that
 * entry_stub.c has. All numbers are hexadecimal. */
#include "../../../preload/src/tracer/entry_stub.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    if (argc != 6) {
        return 2;
    }
    uint64_t numbers[5];
    for (int i = 0; i < 5; i++) {
        numbers[i] = strtoull(argv[i + 1], NULL, 16);
    }
    const struct entry_stub stub = {
        .child = numbers[0],
        .consumed = numbers[1],
        .fatal = numbers[2],
        .mask = numbers[3],
        .page = 0x1000000000,
        .page_bytes = 4096,
        .entry = 0x2000000000,
        .gadget = numbers[4],
    };
    static char code[ENTRY_STUB_BYTES_MAX];
    fwrite(code, 1, entry_stub_write(code, &stub), stdout);
    return 0;
}
