#include "say.h"

#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static struct iovec piece(const char *text) {
    return (struct iovec){.iov_base = (void *)(size_t)text, .iov_len = strlen(text)};
}

void say_parts(const char *const *parts) {
    struct iovec pieces[SAY_PARTS + 2];
    int count = 0;
    pieces[count++] = piece("strongroom: ");
    while (parts[count - 1] != NULL && count <= SAY_PARTS) {
        pieces[count] = piece(parts[count - 1]);
        count++;
    }
    pieces[count++] = piece("\n");
    /* There is nobody to tell that telling failed. */
    ssize_t ignored = writev(STDERR_FILENO, pieces, count);
    (void)ignored;
}

const char *number_text(char text[NUMBER_BYTES], long number) {
    unsigned long rest = number < 0 ? 0UL - (unsigned long)number : (unsigned long)number;
    char *at = text + NUMBER_BYTES;
    *--at = '\0';
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (number < 0) {
        *--at = '-';
    }
    return at;
}
