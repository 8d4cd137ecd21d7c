#include "environment.h"

#include <stdbool.h>

#include "bytes.h"
#include "fail.h"
#include "syscalls.h"

size_t environment_count(char *const *list) {
    size_t count = 0;
    while (list != NULL && list[count] != NULL) {
        count++;
    }
    return count;
}

bool environment_is_name(const char *name) {
    while (*name != '\0' && *name != '=') {
        name++;
    }
    return *name == '\0';
}

char *environment_entry(char *const *list, const char *name) {
    char first = name[0];
    if (list == NULL || first == '\0') {
        return NULL;
    }
    for (;; list++) {
        /* Nearly every entry is ruled out by its first byte, in a loop of few instructions: a miss must not cost more
         * than it does in a libc. */
        char *entry;
        while ((entry = *list) != NULL && entry[0] != first) {
            list++;
        }
        if (entry == NULL) {
            return NULL;
        }
        size_t i = 1;
        while (name[i] == entry[i] && name[i] != '\0') {
            i++;
        }
        if (name[i] == '\0' && entry[i] == '=') {
            return environment_is_name(name) ? entry : NULL; /* looked at only now: most entries do not get here */
        }
    }
}

char *environment_value(char *const *list, const char *name) {
    char *entry = environment_entry(list, name);
    return entry == NULL ? NULL : entry + text_length(name) + 1;
}

/* 64-bit FNV-1a of the name of an entry; never 0, which marks a free place. */
static uint64_t name_hash(const char *entry) {
    uint64_t hash = UINT64_C(14695981039346656037);
    for (; *entry != '\0' && *entry != '='; entry++) {
        hash = (hash ^ (uint8_t)*entry) * UINT64_C(1099511628211);
    }
    return hash | 1;
}

/* Whether two entries of `list` have the same name (or, once in 2^63, only the same hash). */
static bool has_duplicates(char *const *list, size_t count) {
    size_t places = 2;
    while (places < 2 * count) {
        places *= 2;
    }
    uint64_t *seen = sys_mmap(places * sizeof *seen, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (is_map_error(seen)) {
        fail_call("environment", "mapping memory: ", (long)seen);
    }
    bool found = false;
    for (size_t i = 0; i < count && !found; i++) {
        uint64_t hash = name_hash(list[i]);
        size_t place = hash & (places - 1);
        while (seen[place] != 0 && seen[place] != hash) {
            place = (place + 1) & (places - 1);
        }
        found = seen[place] == hash;
        seen[place] = hash;
    }
    sys_munmap(seen, places * sizeof *seen);
    return found;
}

/* Overwrites the value of an entry of the initial stack with zeros. Strings that do not lie behind their list were put
 * there by putenv() in an earlier constructor, may be constants, and are not what /proc/PID/environ shows. */
static void wipe_value(char *const *list, char *entry, size_t name_bytes) {
    if ((uintptr_t)entry < (uintptr_t)list) {
        return;
    }
    volatile char *value = entry + name_bytes + 1;
    while (*value != '\0') {
        *value++ = '\0';
    }
}

void environment_repoint(char **list, const struct region *region, uint32_t *hints) {
    for (uint32_t slot = 0; slot < region->slot_count; slot++) {
        hints[slot] = NO_HINT;
    }
    size_t count = environment_count(list);
    for (size_t i = 0; i < count; i++) {
        size_t name_bytes;
        uint32_t slot = region_find(region, list[i], &name_bytes);
        if (slot == REGION_NO_SLOT || list[i][name_bytes] != '=') {
            continue;
        }
        char *secret = region_string(region, slot);
        bool placeholder = list[i][name_bytes + 1] == '\0';
        if (!placeholder) {
            if (!text_equal(list[i], secret)) {
                continue;
            }
            wipe_value(list, list[i], name_bytes);
        }
        list[i] = secret;
        hints[slot] = (uint32_t)i;
    }
    /* Of two entries of one name the first counts, even when only the second is ours. And unsetenv() of musl closes the
     * gaps of several entries in one go and leaves stale pointers behind the end, at which a hint could then point. A
     * list with duplicates is therefore always searched. */
    if (has_duplicates(list, count)) {
        for (uint32_t slot = 0; slot < region->slot_count; slot++) {
            hints[slot] = NO_HINT;
        }
    }
}

enum {
    VARIABLE_MAX = 128 * 1024, /* MAX_ARG_STRLEN, with the NUL, where pages are smallest */
    PADDING_STEP = 256,
};

size_t padding_bytes(const struct region *region) {
    uint64_t bytes = 0;
    for (uint32_t slot = 0; slot < region->slot_count; slot++) {
        bytes += region->slots[slot].value_bytes;
    }
    bytes = (bytes + PADDING_STEP - 1) / PADDING_STEP * PADDING_STEP;
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
