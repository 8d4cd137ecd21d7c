#include "preload_list.h"

#include "bytes.h"

static const char OUR_FILE[] = "libstrongroom.so";

static bool is_separator(char c) {
    return c == ':' || c == ' ' || (c >= '\t' && c <= '\r');
}

/* To glibc; to musl these are separators, too. */
static bool is_end(char c) {
    return c == '\0' || c == ':' || c == ' ';
}

const char *preload_list_next(const char *at, size_t *length) {
    while (is_separator(*at)) {
        at++;
    }
    *length = 0;
    while (at[*length] != '\0' && !is_separator(at[*length])) {
        (*length)++;
    }
    return at;
}

static bool is_library(const char *part, size_t length, const char *library) {
    return length == text_length(library) && bytes_equal(part, library, length);
}

bool preload_list_has(const char *list, const char *library) {
    size_t length;
    for (const char *part = list; (part = preload_list_next(part, &length), length > 0); part += length) {
        if (is_library(part, length, library)) {
            return true;
        }
    }
    return false;
}

bool preload_list_has_for_all(const char *list, const char *library) {
    size_t length;
    for (const char *part = list; (part = preload_list_next(part, &length), length > 0); part += length) {
        if (is_library(part, length, library) && is_end(part[length]) && (part == list || is_end(part[-1]))) {
            return true;
        }
    }
    return false;
}

const char *preload_list_ours(const char *list, size_t *length) {
    const size_t file_bytes = sizeof OUR_FILE - 1;
    for (const char *part = list; (part = preload_list_next(part, length), *length > 0); part += *length) {
        if (*length >= file_bytes && bytes_equal(part + *length - file_bytes, OUR_FILE, file_bytes) &&
            (*length == file_bytes || part[*length - file_bytes - 1] == '/')) {
            return part;
        }
    }
    return "";
}

size_t preload_list_without(char *to, const char *list, const char *library) {
    char *begin = to;
    size_t length;
    for (const char *part = list; (part = preload_list_next(part, &length), length > 0); part += length) {
        if (is_library(part, length, library)) {
            continue;
        }
        if (to > begin) {
            *to++ = part[-1]; /* the separator that was there */
        }
        to = bytes_copy(to, part, length);
    }
    *to = '\0';
    return (size_t)(to - begin);
}
