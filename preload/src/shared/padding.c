#include "padding.h"

#include "bytes.h"
#include "environment.h"

enum {
    VARIABLE_MAX = 128 * 1024, /* MAX_ARG_STRLEN, with the NUL, where pages are smallest */
    STEP = 256,
};

size_t padding_bytes(const struct region *region) {
    uint64_t bytes = 0;
    for (uint32_t slot = 0; slot < region->slot_count; slot++) {
        bytes += region->slots[slot].value_bytes;
    }
    bytes = (bytes + STEP - 1) / STEP * STEP;
    return padding_entry_bytes(0) + bytes > VARIABLE_MAX ? 0 : (size_t)bytes;
}

void padding_print(char *entry, size_t bytes) {
    char *at = bytes_copy(entry, PADDING_VARIABLE "=", sizeof PADDING_VARIABLE);
    for (size_t i = 0; i < bytes; i++) {
        *at++ = '.';
    }
    *at = '\0';
}

void padding_empty(char **list) {
    char *entry = environment_entry(list, PADDING_VARIABLE);
    /* One that does not lie behind its list was put there by another constructor, and may be a constant. */
    if (entry != NULL && (uintptr_t)entry > (uintptr_t)list) {
        entry[sizeof PADDING_VARIABLE] = '\0';
    }
}
