#include "compose.h"

#include "../shared/bytes.h"
#include "../shared/children.h"
#include "../shared/environment.h"
#include "../shared/preload_list.h"

enum {
    ADDED_ENTRIES = 5, /* region, LD_PRELOAD, policy, padding and the NULL at the end */
};

/* What an entry is to us. Those from the region on are ours, and count once in an environment. */
enum role { ROLE_PLAIN, ROLE_SECRET, ROLE_REGION, ROLE_PRELOAD, ROLE_POLICY, ROLE_DUMPABLE, ROLE_PADDING, ROLES };

uint32_t compose_secret(const struct state *state, const char *entry) {
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

static bool is_variable(const char *entry, const char *name) {
    size_t length = text_length(name);
    return text_starts_with(entry, name) && entry[length] == '=';
}

static enum role role_of(const struct state *state, const char *entry, uint32_t *slot) {
    *slot = compose_secret(state, entry);
    if (*slot != REGION_NO_SLOT) {
        return ROLE_SECRET;
    }
    if (is_variable(entry, REGION_VARIABLE)) {
        return ROLE_REGION;
    }
    if (is_variable(entry, PRELOAD_VARIABLE)) {
        return ROLE_PRELOAD;
    }
    if (is_variable(entry, CHILDREN_VARIABLE)) {
        return ROLE_POLICY;
    }
    if (is_variable(entry, DUMPABLE_VARIABLE)) {
        return ROLE_DUMPABLE;
    }
    return is_variable(entry, PADDING_VARIABLE) ? ROLE_PADDING : ROLE_PLAIN;
}

struct composition_size compose_measure(const struct state *state, char *const *list) {
    const char *preload = environment_value(list, PRELOAD_VARIABLE);
    size_t preload_bytes = preload == NULL ? 0 : text_length(preload);
    return (struct composition_size){
        .entries = environment_count(list) + ADDED_ENTRIES,
        .text_bytes = sizeof PRELOAD_VARIABLE "=" + text_length(state->library) + sizeof ":" + preload_bytes,
    };
}

/* Appends an entry, unless it is NULL; the last place is kept for the NULL at the end. */
static bool append(struct composition *composition, char *entry) {
    if (entry == NULL) {
        return true;
    }
    if (composition->entries_left <= 1) {
        return false;
    }
    composition->entries[composition->count++] = entry;
    composition->entries_left--;
    return true;
}

/* The LD_PRELOAD entry that `list` shall become for `audience`; NULL for none. False when there is no room for it. */
static bool preload_entry(struct composition *composition, const struct state *state, enum audience audience,
                          char **entry) {
    const char *list = *entry == NULL ? "" : *entry + sizeof PRELOAD_VARIABLE;
    bool is_right = audience == AUDIENCE_TRUSTED ? preload_list_has_for_all(list, state->library)
                                                 : !preload_list_has(list, state->library);
    if (audience == AUDIENCE_LAUNCH || state->library[0] == '\0' || is_right) {
        return true;
    }
    size_t library_bytes = text_length(state->library);
    size_t list_bytes = text_length(list);
    if (sizeof PRELOAD_VARIABLE "=" + library_bytes + sizeof ":" + list_bytes > composition->text_left) {
        return false;
    }
    char *begin = composition->text;
    char *at = bytes_copy(begin, PRELOAD_VARIABLE "=", sizeof PRELOAD_VARIABLE);
    if (audience == AUDIENCE_TRUSTED) {
        at = bytes_copy(at, state->library, library_bytes);
        if (list_bytes > 0) {
            *at++ = ':';
        }
        at = bytes_copy(at, list, list_bytes);
        *at = '\0';
        *entry = begin;
    } else {
        size_t left = preload_list_without(at, list, state->library);
        at += left;
        *entry = left == 0 ? NULL : begin;
    }
    at++;
    composition->text_left -= (size_t)(at - begin);
    composition->text = at;
    return true;
}

/* What an entry with the role `role` becomes for `audience`; NULL in *entry when it is left out, or when there is none
 * of this role and none is to be added. False when there is no room. */
static bool translate(struct composition *composition, const struct state *state, enum role role,
                      enum audience audience, char *region, char **entry) {
    switch (role) {
    case ROLE_REGION:
        *entry = audience == AUDIENCE_TRUSTED ? region : audience == AUDIENCE_DENIED ? NULL : *entry;
        return true;
    case ROLE_PRELOAD:
        return preload_entry(composition, state, audience, entry);
    case ROLE_POLICY:
        /* Anyone who got the secrets under a policy may not hand them on without it. */
        if (audience == AUDIENCE_TRUSTED && state->policy_entry != NULL) {
            *entry = state->policy_entry;
        }
        return true;
    case ROLE_DUMPABLE:
        /* Anyone who may add to the environment of a child must not open it to others: only the operator of the launch. */
        if (audience == AUDIENCE_TRUSTED && !state->dumpable) {
            *entry = NULL;
        }
        return true;
    case ROLE_PADDING:
        *entry = audience == AUDIENCE_TRUSTED ? state->padding_entry : audience == AUDIENCE_DENIED ? NULL : *entry;
        return true;
    default:
        return true;
    }
}

/* What one of our secrets becomes; in a launch of its own an empty one may be its placeholder, and stays. */
static char *translate_secret(const struct state *state, uint32_t slot, enum audience audience, char *entry) {
    if (audience == AUDIENCE_TRUSTED) {
        return state->placeholders[slot];
    }
    bool is_empty = entry[state->region.slots[slot].name_bytes + 1] == '\0';
    return audience == AUDIENCE_LAUNCH && is_empty ? entry : NULL;
}

/* Appends what an entry becomes. False when there is no room. */
static bool add(struct composition *composition, const struct state *state, enum role role, enum audience audience,
                char *region, char *entry) {
    return translate(composition, state, role, audience, region, &entry) && append(composition, entry);
}

bool compose(struct composition *composition, const struct state *state, char *const *list, enum audience audience,
             char *region) {
    bool seen[ROLES] = {false};
    bool trusted = audience == AUDIENCE_TRUSTED;
    /* What looks for its arguments in front of the first entry finds them only if that one lies on the stack, too; and what
     * takes the room of strings that lie one behind the other gets more of it when the padding comes last. */
    if (trusted && !append(composition, region)) {
        return false;
    }
    seen[ROLE_REGION] = trusted;
    for (; *list != NULL; list++) {
        uint32_t slot;
        enum role role = role_of(state, *list, &slot);
        if (role == ROLE_SECRET && composition->included != NULL && !slot_is_marked(composition->included, slot)) {
            return false;
        }
        if (role == ROLE_SECRET || role == ROLE_PLAIN) {
            if (!append(composition, role == ROLE_PLAIN ? *list : translate_secret(state, slot, audience, *list))) {
                return false;
            }
        } else if (!seen[role] && !(trusted && role == ROLE_PADDING)) {
            seen[role] = true;
            if (!add(composition, state, role, audience, region, *list)) {
                return false;
            }
        }
    }
    for (enum role role = ROLE_REGION; role < ROLES; role++) {
        if (!seen[role] && !add(composition, state, role, audience, region, NULL)) {
            return false;
        }
    }
    composition->entries[composition->count] = NULL;
    return true;
}
