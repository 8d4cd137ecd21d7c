/* The few byte-string operations the library needs.
 *
 * The library lives in programs whose libc it does not know, so it brings these along. None of them allocates, takes a
 * lock or changes errno; all of them are safe in signal handlers and between vfork and exec. Pointers must not be NULL.
 */
#ifndef STRONGROOM_BYTES_H
#define STRONGROOM_BYTES_H

#include <stdbool.h>
#include <stddef.h>

/* Length of a NUL-terminated string, without the NUL. */
static inline size_t text_length(const char *text) {
    size_t length = 0;
    while (text[length] != '\0') {
        length++;
    }
    return length;
}

/* Whether two NUL-terminated strings are the same. */
static inline bool text_equal(const char *left, const char *right) {
    while (*left == *right) {
        if (*left == '\0') {
            return true;
        }
        left++;
        right++;
    }
    return false;
}

/* Whether the NUL-terminated `text` begins with the NUL-terminated `prefix`. */
static inline bool text_starts_with(const char *text, const char *prefix) {
    while (*prefix != '\0') {
        if (*text++ != *prefix++) {
            return false;
        }
    }
    return true;
}

/* Whether `length` bytes at both places are the same. */
static inline bool bytes_equal(const char *left, const char *right, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (left[i] != right[i]) {
            return false;
        }
    }
    return true;
}

/* Copies `length` bytes; the two places must not overlap. Returns the byte after the last one written. */
static inline char *bytes_copy(char *restrict to, const char *restrict from, size_t length) {
    for (size_t i = 0; i < length; i++) {
        to[i] = from[i];
    }
    return to + length;
}

/* Writes `number` in decimal, NUL-terminated: at most eleven bytes. */
static inline void text_number(char *to, unsigned number) {
    char digits[10];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (count > 0) {
        *to++ = digits[--count];
    }
    *to = '\0';
}

#endif
