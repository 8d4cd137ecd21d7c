#include "children.h"

#include <stddef.h>

#include "bytes.h"

static const char ALLOW[] = "allow:";

/* Length of the first name of a list that ends at a comma or NUL. */
static size_t item_length(const char *list) {
    size_t length = 0;
    while (list[length] != '\0' && list[length] != ',') {
        length++;
    }
    return length;
}

bool children_policy_is_legal(const char *text) {
    if (text_equal(text, "inherit") || text_equal(text, "deny")) {
        return true;
    }
    if (!text_starts_with(text, ALLOW)) {
        return false;
    }
    for (const char *item = text + sizeof ALLOW - 1;; item++) {
        size_t length = item_length(item);
        if (length == 0) {
            return false;
        }
        item += length;
        if (*item == '\0') {
            return true;
        }
    }
}

static bool item_matches(const char *item, size_t length, const char *path) {
    const char *subject = path;
    bool whole_path = false;
    for (size_t i = 0; i < length; i++) {
        whole_path |= item[i] == '/';
    }
    for (const char *at = path; !whole_path && *at != '\0'; at++) {
        if (*at == '/') {
            subject = at + 1;
        }
    }
    return text_length(subject) == length && bytes_equal(item, subject, length);
}

bool children_policy_allows(const char *text, const char *path) {
    if (text == NULL || text_equal(text, "inherit")) {
        return true;
    }
    if (!text_starts_with(text, ALLOW)) {
        return false;
    }
    for (const char *item = text + sizeof ALLOW - 1;; item++) {
        size_t length = item_length(item);
        if (item_matches(item, length, path)) {
            return true;
        }
        item += length;
        if (*item == '\0') {
            return false;
        }
    }
}
