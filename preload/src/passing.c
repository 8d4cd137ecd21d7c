#include "passing.h"

#include "bytes.h"
#include "children.h"
#include "handover.h"
#include "region_write.h"
#include "syscalls.h"

#define PRELOAD_VARIABLE "LD_PRELOAD"

enum {
    STACK_ENTRIES_MAX = 8000,
    ADDED_ENTRIES = 4, /* region, LD_PRELOAD, policy and the NULL at the end */
};

/* A list under construction. */
struct list {
    char **entries;
    size_t count;
};

/* The slot of a secret whose text `entry` is, or REGION_NO_SLOT. One of our own strings counts whatever the program has
 * written over its value: what it holds now is what the program passes on. */
static uint32_t secret_of(const struct state *state, const char *entry) {
    if (entry[0] == '\0' || !name_filter_has(state, entry)) {
        return REGION_NO_SLOT;
    }
    size_t name_bytes;
    uint32_t slot = region_find(&state->region, entry, &name_bytes);
    if (slot == REGION_NO_SLOT || entry[name_bytes] != '=') {
        return REGION_NO_SLOT;
    }
    const char *ours = region_string(&state->region, slot);
    return entry == ours || text_equal(entry, ours) ? slot : REGION_NO_SLOT;
}

bool passing_concerns(const struct state *state, char *const *list) {
    if (state == NULL || !state->has_region || list == NULL) {
        return false;
    }
    for (; *list != NULL; list++) {
        if (secret_of(state, *list) != REGION_NO_SLOT) {
            return true;
        }
    }
    return false;
}

static bool is_variable(const char *entry, const char *name) {
    size_t length = text_length(name);
    return text_starts_with(entry, name) && entry[length] == '=';
}

static bool is_separator(char c) {
    return c == ':' || c == ' '; /* ld.so(8); musl takes white space in general */
}

/* The next part of an LD_PRELOAD value: stores its begin, returns its length; 0 at the end. */
static size_t next_part(const char **at) {
    while (is_separator(**at)) {
        (*at)++;
    }
    size_t length = 0;
    while ((*at)[length] != '\0' && !is_separator((*at)[length])) {
        length++;
    }
    return length;
}

static bool preloads(const char *value, const char *library) {
    size_t library_bytes = text_length(library);
    for (size_t length; (length = next_part(&value)) > 0; value += length) {
        if (length == library_bytes && bytes_equal(value, library, length)) {
            return true;
        }
    }
    return false;
}

/* Writes `LD_PRELOAD=` and the parts of `value` other than `library` to `to`. Returns false when none is left. */
static bool preload_without(char *to, const char *value, const char *library) {
    size_t library_bytes = text_length(library);
    to = bytes_copy(to, PRELOAD_VARIABLE "=", sizeof PRELOAD_VARIABLE);
    char *begin = to;
    for (size_t length; (length = next_part(&value)) > 0; value += length) {
        if (length != library_bytes || !bytes_equal(value, library, length)) {
            if (to > begin) {
                *to++ = ':';
            }
            to = bytes_copy(to, value, length);
        }
    }
    *to = '\0';
    return to > begin;
}

/* Whether the program is making a launch of its own: it hands over a region that is not ours. */
static bool is_launch(char *const *list) {
    const char *text = environment_value(list, REGION_VARIABLE);
    struct handover handover;
    return text != NULL && handover_parse(text, &handover);
}

/* The environment for a launch inside this one: without our secrets, with all that the new launch put into it. An empty
 * entry is left alone, since it may be a placeholder of the new launch. */
static void compose_launch(const struct state *state, char *const *list, struct list *new_list) {
    for (; *list != NULL; list++) {
        uint32_t slot = secret_of(state, *list);
        if (slot == REGION_NO_SLOT || (*list)[state->region.slots[slot].name_bytes + 1] == '\0') {
            new_list->entries[new_list->count++] = *list;
        }
    }
    new_list->entries[new_list->count] = NULL;
}

/* The environment for a program that may not have secrets. `preload` has room for the LD_PRELOAD entry. */
static void compose_without(const struct state *state, char *const *list, char *preload, struct list *new_list) {
    for (; *list != NULL; list++) {
        char *entry = *list;
        if (secret_of(state, entry) != REGION_NO_SLOT || is_variable(entry, REGION_VARIABLE)) {
            continue;
        }
        if (is_variable(entry, PRELOAD_VARIABLE) && preloads(entry + sizeof PRELOAD_VARIABLE, state->library)) {
            if (!preload_without(preload, entry + sizeof PRELOAD_VARIABLE, state->library)) {
                continue;
            }
            entry = preload;
        }
        new_list->entries[new_list->count++] = entry;
    }
    new_list->entries[new_list->count] = NULL;
}

/* The environment for a program that may. `region` is the STRONGROOM_REGION entry. */
static void compose_with(const struct state *state, char *const *list, char *region, char *preload,
                         struct list *new_list) {
    bool has_region = false;
    bool has_preload = false;
    bool has_policy = false;
    for (; *list != NULL; list++) {
        char *entry = *list;
        uint32_t slot = secret_of(state, entry);
        if (slot != REGION_NO_SLOT) {
            entry = state->placeholders[slot];
        } else if (is_variable(entry, REGION_VARIABLE)) {
            entry = has_region ? NULL : region;
            has_region = true;
        } else if (is_variable(entry, PRELOAD_VARIABLE) && !has_preload) {
            has_preload = true;
            const char *value = entry + sizeof PRELOAD_VARIABLE;
            if (state->library[0] != '\0' && !preloads(value, state->library)) {
                entry = preload;
                char *at = bytes_copy(preload, PRELOAD_VARIABLE "=", sizeof PRELOAD_VARIABLE);
                at = bytes_copy(at, state->library, text_length(state->library));
                if (*value != '\0') {
                    *at++ = ':';
                }
                bytes_copy(at, value, text_length(value) + 1);
            }
        } else if (is_variable(entry, CHILDREN_VARIABLE)) {
            /* Whoever got the secrets under a policy may not hand them on without it. */
            if (state->policy_entry != NULL) {
                entry = has_policy ? NULL : state->policy_entry;
            }
            has_policy = true;
        }
        if (entry != NULL) {
            new_list->entries[new_list->count++] = entry;
        }
    }
    if (!has_region) {
        new_list->entries[new_list->count++] = region;
    }
    if (!has_preload && state->library[0] != '\0') {
        char *at = bytes_copy(preload, PRELOAD_VARIABLE "=", sizeof PRELOAD_VARIABLE);
        bytes_copy(at, state->library, text_length(state->library) + 1);
        new_list->entries[new_list->count++] = preload;
    }
    if (!has_policy && state->policy_entry != NULL) {
        new_list->entries[new_list->count++] = state->policy_entry;
    }
    new_list->entries[new_list->count] = NULL;
}

static bool is_marked(const uint8_t *marks, uint32_t slot) {
    return (marks[slot / 8] >> (slot % 8)) & 1;
}

/* Makes the region that holds the secrets of `list`; returns its descriptor or a negative errno value. */
static long make_region(const struct state *state, char *const *list) {
    size_t mark_bytes = (state->region.slot_count + 7) / 8;
    uint8_t *marks = __builtin_alloca(mark_bytes); /* slots that are planned and not yet written */
    for (size_t i = 0; i < mark_bytes; i++) {
        marks[i] = 0;
    }
    struct region_plan plan = {0, 0};
    for (char *const *entry = list; *entry != NULL; entry++) {
        uint32_t slot = secret_of(state, *entry);
        if (slot != REGION_NO_SLOT && !is_marked(marks, slot)) {
            marks[slot / 8] |= (uint8_t)(1 << (slot % 8));
            region_plan_add(&plan, text_length(*entry));
        }
    }
    struct shared shared;
    long result = handover_make(state->rung, region_plan_bytes(&plan), &shared);
    if (result < 0) {
        return result;
    }
    struct region_writer writer = region_begin(shared.memory, &plan, &state->region);
    for (char *const *entry = list; *entry != NULL; entry++) {
        uint32_t slot = secret_of(state, *entry);
        if (slot != REGION_NO_SLOT && is_marked(marks, slot)) {
            marks[slot / 8] &= (uint8_t) ~(1 << (slot % 8));
            if (!region_append(&writer, &state->region.slots[slot], *entry)) {
                handover_drop(&shared);
                return -EAGAIN;
            }
        }
    }
    return handover_finish(&shared);
}

/* The case of a program that may have the secrets; the rest of the contract is that of passing_call(). */
static long call_with_region(const struct state *state, char *const *list, char *preload, struct list *new_list,
                             passing_function *call, void *context) {
    long fd = make_region(state, list);
    if (fd < 0) {
        return fd;
    }
    char region[HANDOVER_TEXT_BYTES];
    handover_print(region, state->rung, (int)fd);
    compose_with(state, list, region, preload, new_list);
    call(context, new_list->entries);
    sys_close((int)fd);
    return 0;
}

long passing_call(const struct target *target, char *const *list, passing_function *call, void *context) {
    const struct state *state = state_load(NULL);
    if (!passing_concerns(state, list)) {
        call(context, list);
        return 0;
    }
    char path[TARGET_PATH_BYTES];
    target_resolve(target, environment_value(environment_now(), "PATH"), path);
    bool allowed = children_policy_allows(state->policy, path) && !target_is_privileged(target, path);

    size_t count = environment_count(list);
    size_t list_bytes = (count + ADDED_ENTRIES) * sizeof(char *);
    const char *old_preload = environment_value(list, PRELOAD_VARIABLE);
    size_t preload_bytes = sizeof PRELOAD_VARIABLE + text_length(state->library) + 2 +
                           (old_preload == NULL ? 0 : text_length(old_preload));
    char *preload = __builtin_alloca(preload_bytes);
    bool mapped = count > STACK_ENTRIES_MAX;
    struct list new_list = {NULL, 0};
    if (mapped) {
        new_list.entries = sys_mmap(list_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        if (is_map_error(new_list.entries)) {
            return (long)new_list.entries;
        }
    } else {
        new_list.entries = __builtin_alloca(list_bytes);
    }

    long result = 0;
    if (is_launch(list)) {
        compose_launch(state, list, &new_list);
        call(context, new_list.entries);
    } else if (allowed) {
        result = call_with_region(state, list, preload, &new_list, call, context);
    } else {
        compose_without(state, list, preload, &new_list);
        call(context, new_list.entries);
    }
    if (mapped) {
        sys_munmap(new_list.entries, list_bytes);
    }
    return result;
}
