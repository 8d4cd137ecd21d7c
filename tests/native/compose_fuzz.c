/* Fuzz target for the environments that the library composes (libFuzzer).
 *
 * The input is a script: each byte that is read chooses an entry of the list - our own variables, the secrets, others - and
 * how its value is made, so that duplicates, empty values and lists of libraries come about by themselves. All memory is of
 * exactly the size that compose_measure() asks for, so AddressSanitizer sees the first byte beyond. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compose.h"
#include "preload_list.h"
#include "region_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ENTRIES_MAX = 64, SECRETS = 4 };

static const char LIBRARY[] = "/opt/libstrongroom.so";
static char REGION[] = "STRONGROOM_REGION=memfd-secret:101";
static const char *const NAMES[] = {
    "LD_PRELOAD", "STRONGROOM_REGION", "STRONGROOM_CHILDREN", "STRONGROOM_PADDING", "STRONGROOM_DUMPABLE", "ONE", "TWO",
    "PLAIN", "", "LD_PRELOADED",
};
enum { OURS = 5 };
static const char *const PIECES[] = {
    LIBRARY, ":", " ", "\t", "/other/libstrongroom.so", "a", "1", "memfd-secret:100", "=", "inherit",
};

struct script {
    const uint8_t *data;
    size_t left;
};

static void require(int condition) {
    if (!condition) {
        abort();
    }
}

static unsigned next(struct script *script) {
    if (script->left == 0) {
        return 0;
    }
    script->left--;
    return *script->data++;
}

/* An image with the secrets ONE=1 and TWO=, made by the writer of the library out of an empty one. */
static struct region make_region(void) {
    static _Alignas(8) unsigned char image[4096];
    static const char *const strings[] = {"ONE=1", "TWO="};
    struct region_header *header = (void *)image;
    memset(image, 0, sizeof image);
    memcpy(header->magic, "SRREGN1", 8);
    header->seed = 1;
    header->generation_check = ~header->generation;
    struct region empty = {(char *)image, (void *)(image + REGION_HEADER_BYTES), 0, 1};
    struct region_plan plan = {0, 0};
    for (size_t i = 0; i < 2; i++) {
        region_plan_add(&plan, strlen(strings[i]));
    }
    struct region_writer writer = region_begin(image, &plan, &empty);
    for (size_t i = 0; i < 2; i++) {
        size_t name_bytes;
        require(region_find(&empty, strings[i], &name_bytes) == REGION_NO_SLOT);
        uint32_t hash = 1; /* FNV-1a with this seed */
        for (size_t c = 0; c < name_bytes; c++) {
            hash = (hash ^ (uint8_t)strings[i][c]) * UINT32_C(16777619);
        }
        struct region_slot known = {.hash = hash, .name_bytes = (uint32_t)name_bytes};
        require(region_append(&writer, &known, strings[i]));
    }
    require(region_check(image, region_plan_bytes(&plan)) == NULL);
    return region_open(image);
}

static struct state make_state(void) {
    static char *placeholders[SECRETS];
    struct state state = {.has_region = true, .region = make_region(), .placeholders = placeholders};
    for (uint32_t slot = 0; slot < state.region.slot_count; slot++) {
        if (state.region.slots[slot].offset != 0) {
            const char *string = region_string(&state.region, slot);
            placeholders[slot] = string[0] == 'O' ? "ONE=" : "TWO=";
            name_filter_add(&state, string, state.region.slots[slot].name_bytes);
        }
    }
    return state;
}

static char *make_entry(const struct state *state, struct script *script) {
    unsigned choice = next(script);
    if (choice >= 248) {
        for (uint32_t slot = 0; slot < state->region.slot_count; slot++) {
            if (state->region.slots[slot].offset != 0 && (choice & 1) == (slot & 1)) {
                return strdup(region_string(&state->region, slot));
            }
        }
    }
    char *entry = NULL;
    size_t length;
    FILE *stream = open_memstream(&entry, &length);
    require(stream != NULL);
    fprintf(stream, "%s%s", NAMES[choice % (sizeof NAMES / sizeof *NAMES)], (choice & 64) != 0 ? "" : "=");
    for (unsigned pieces = next(script) % 16; pieces > 0; pieces--) {
        fputs(PIECES[next(script) % (sizeof PIECES / sizeof *PIECES)], stream);
    }
    fclose(stream);
    return entry;
}

static size_t count_of(char *const *list, const char *name) {
    size_t count = 0;
    for (; *list != NULL; list++) {
        count += strncmp(*list, name, strlen(name)) == 0 && (*list)[strlen(name)] == '=';
    }
    return count;
}

static void check(const struct state *state, char *const *list, enum audience audience) {
    for (size_t i = 0; i < OURS; i++) {
        require(count_of(list, NAMES[i]) <= 1);
    }
    if (audience == AUDIENCE_TRUSTED) {
        require(strcmp(list[0], REGION) == 0);
        require(state->dumpable || count_of(list, "STRONGROOM_DUMPABLE") == 0);
    }
    for (; *list != NULL; list++) {
        require(compose_secret(state, *list) == REGION_NO_SLOT || strchr(*list, '=')[1] == '\0');
        if (audience == AUDIENCE_DENIED) {
            require(strncmp(*list, "STRONGROOM_REGION=", 18) != 0);
        }
        if (audience != AUDIENCE_LAUNCH && state->library[0] != '\0' && strncmp(*list, "LD_PRELOAD=", 11) == 0) {
            require(preload_list_has(*list + 11, LIBRARY) == (audience == AUDIENCE_TRUSTED));
            require(preload_list_has_for_all(*list + 11, LIBRARY) == (audience == AUDIENCE_TRUSTED));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct script script = {data, size};
    struct state state = make_state();
    unsigned options = next(&script);
    state.library = (options & 1) != 0 ? LIBRARY : "";
    state.policy_entry = (options & 2) != 0 ? "STRONGROOM_CHILDREN=deny" : NULL;
    state.padding_entry = (options & 32) != 0 ? "STRONGROOM_PADDING=...." : NULL;
    state.dumpable = (options & 16) != 0;
    enum audience audience = (options >> 2) % 3;
    char *list[ENTRIES_MAX + 1];
    size_t count = 0;
    while (script.left > 0 && count < ENTRIES_MAX) {
        list[count++] = make_entry(&state, &script);
    }
    list[count] = NULL;

    struct composition_size room = compose_measure(&state, list);
    size_t missing_entries = (options & 64) != 0 && room.entries > 1 ? 1 + options % (room.entries - 1) : 0;
    size_t missing_text = (options & 128) != 0 ? options % room.text_bytes : 0;
    char **entries = malloc((room.entries - missing_entries) * sizeof *entries);
    char *text = malloc(room.text_bytes - missing_text);
    require(entries != NULL && text != NULL);
    struct composition composition = {
        .entries = entries,
        .entries_left = room.entries - missing_entries,
        .text = text,
        .text_left = room.text_bytes - missing_text,
    };
    if (compose(&composition, &state, list, audience, REGION)) {
        check(&state, composition.entries, audience);
    } else {
        require(missing_entries > 0 || missing_text > 0);
    }
    free(text);
    free(entries);
    while (count > 0) {
        free(list[--count]);
    }
    return 0;
}
