#include "state.h"

#include "auxv.h"
#include "../shared/bytes.h"
#include "../shared/children.h"
#include "../shared/fail.h"
#include "go_runtime.h"
#include "../shared/handover.h"
#include "own_copy.h"
#include "../shared/environment.h"
#include "../shared/preload_list.h"
#include "../shared/syscalls.h"

static struct state state;
static bool loading = false; /* or loaded */
const struct state *state_loaded = NULL;

/* Memory that stays for good, cut off piece by piece; a mapping, because there is no allocator to ask. */
struct storage {
    char *next;
    size_t left;
};

static void *cut(struct storage *storage, size_t bytes) {
    bytes = (bytes + 7) / 8 * 8;
    if (bytes > storage->left) {
        fail("environment", "changed while it was read");
    }
    char *piece = storage->next;
    storage->next += bytes;
    storage->left -= bytes;
    return piece;
}

static char *cut_copy(struct storage *storage, const char *text, size_t length) {
    char *copy = cut(storage, length + 1);
    bytes_copy(copy, text, length)[0] = '\0';
    return copy;
}

/* How LD_PRELOAD names this library, and in *length how long that is. All entries are looked at: of duplicates, glibc's
 * loader takes the last and musl's the first. */
static const char *library_in(char *const *list, size_t *length) {
    const size_t name_bytes = sizeof PRELOAD_VARIABLE - 1;
    *length = 0;
    for (; *list != NULL; list++) {
        if (text_starts_with(*list, PRELOAD_VARIABLE "=")) {
            const char *library = preload_list_ours(*list + name_bytes + 1, length);
            if (*length > 0) {
                return library;
            }
        }
    }
    return "";
}

/* Room for all that load_region() keeps. */
static struct storage make_storage(const char *policy_entry, size_t library_bytes) {
    size_t slots = state.region.slot_count;
    size_t bytes = slots * (sizeof(uint32_t) + sizeof(char *)) + library_bytes + 64;
    bytes += policy_entry == NULL ? 0 : text_length(policy_entry);
    bytes += padding_entry_bytes(padding_bytes(&state.region));
    for (uint32_t slot = 0; slot < slots; slot++) {
        bytes += state.region.slots[slot].name_bytes + 16;
    }
    char *memory = sys_mmap(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (is_map_error(memory)) {
        fail_call("region", "mapping memory: ", (long)memory);
    }
    return (struct storage){memory, bytes};
}

static void keep_names(struct storage *storage) {
    char **placeholders = cut(storage, state.region.slot_count * sizeof *placeholders);
    for (uint32_t slot = 0; slot < state.region.slot_count; slot++) {
        const struct region_slot *used = &state.region.slots[slot];
        if (used->offset == 0) {
            continue;
        }
        const char *string = region_string(&state.region, slot);
        placeholders[slot] = cut_copy(storage, string, used->name_bytes + 1);
        name_filter_add(&state, string, used->name_bytes);
    }
    state.placeholders = placeholders;
}

/* Whether the descriptor stays open for the programs that this one starts. A Go program starts them by raw system calls,
 * past our wrappers, with plaintext in their environment: with the descriptor at hand, the library in the child finds the
 * same strings in the region, repoints them and wipes the plaintext. Only where every child may have secrets. */
static bool leaves_descriptor(const char *policy_entry) {
    bool inherits = policy_entry == NULL || text_equal(policy_entry + sizeof CHILDREN_VARIABLE, "inherit");
    return inherits && go_made_this_program();
}

static void load_region(char *text) {
    struct handover handover;
    if (!handover_parse(text, &handover)) {
        fail(REGION_VARIABLE, "not of the form RUNG:FD, RUNG one of memfd-secret, locked, any, FD 100 or above");
    }
    const char *policy_entry = environment_entry(state.list, CHILDREN_VARIABLE);
    if (policy_entry != NULL && !children_policy_is_legal(policy_entry + sizeof CHILDREN_VARIABLE)) {
        fail(CHILDREN_VARIABLE, "not one of inherit, deny, allow:NAME,NAME");
    }
    size_t length;
    state.region = region_open(handover_take(&handover, &length));
    state.rung = handover.rung;
    state.has_region = true;
    if (rotation_has_room(&state.region)) {
        state.live = handover_watch(&handover, length);
    }
    if (leaves_descriptor(policy_entry)) {
        state.left_descriptor = handover.fd;
    } else {
        handover_retire(&handover, text);
    }

    size_t library_bytes;
    const char *library = library_in(state.list, &library_bytes);
    struct storage storage = make_storage(policy_entry, library_bytes);
    state.library = cut_copy(&storage, library, library_bytes);
    if (policy_entry != NULL) {
        /* A copy: programs that change their title overwrite the strings of the initial stack. */
        state.policy_entry = cut_copy(&storage, policy_entry, text_length(policy_entry));
        state.policy = state.policy_entry + sizeof CHILDREN_VARIABLE;
    }
    size_t padding = padding_bytes(&state.region);
    if (padding > 0) {
        state.padding_entry = cut(&storage, padding_entry_bytes(padding));
        padding_print(state.padding_entry, padding);
    }
    padding_empty(state.list);
    keep_names(&storage);
    uint32_t *hints = cut(&storage, state.region.slot_count * sizeof *hints);
    environment_repoint(state.list, &state.region, hints);
    state.hints = hints;
    if (state.region.slot_count > 0) {
        struct name_place *places = own_copy_places(&state.region, state.rung);
        if (places == NULL) {
            fail_call("region", "mapping memory: ", -ENOMEM);
        }
        name_index_fill(&state.index, places, &state.region, hints);
    }
}

/* From now on no other program of this user may take descriptors or read memory (pidfd_getfd(2), ptrace(2)); exec had
 * allowed it again. What is taken before this moment nobody can prevent from here (docs/threat-model.md, G2). */
static void close_to_others(char *const *list) {
    const char *open = environment_value(list, DUMPABLE_VARIABLE);
    if (open != NULL && !text_equal(open, "1")) {
        fail(DUMPABLE_VARIABLE, "not 1");
    }
    state.dumpable = open != NULL;
    if (state.dumpable) {
        return; /* its operator wants a debugger, /proc/PID/fd or user namespaces more */
    }
    long result = sys_set_dumpable(0);
    if (result < 0) {
        fail_call("region", "PR_SET_DUMPABLE: ", result);
    }
}

static void load(char **list) {
    state.list = list;
    state.is_secure = auxv_is_secure();
    char *text = environment_value(list, REGION_VARIABLE);
    /* A program with raised privileges takes nothing from a parent that it must not trust. The loader ignores LD_PRELOAD
     * there, but not /etc/ld.so.preload. */
    bool takes_over = text != NULL && !state.is_secure && !handover_is_retired(text);
    if (takes_over) {
        close_to_others(list);
    }
    state.process = (int)SYSCALL0(__NR_getpid);
    libc_find(&state.libc);
    state.glibc_getenv = state.libc.gnu_version != NULL ? state.libc.getenv : NULL;
    if (takes_over) {
        load_region(text);
    }
}

const struct state *state_load(char **envp) {
    if (__atomic_load_n(&state_loaded, __ATOMIC_ACQUIRE) != NULL) {
        return &state;
    }
    /* Under glibc a library without dependencies may be initialised before the libc, whose `environ` is NULL then. musl
     * has set it by now, and gives constructors no arguments. */
    char **list = environment_now() != NULL ? environment_now() : envp;
    if (list == NULL) {
        return NULL;
    }
    /* Signals wait: a handler that calls getenv() on this very thread would wait for itself. */
    kernel_sigset all = ~(kernel_sigset)0;
    kernel_sigset before;
    sys_sigprocmask(SIG_SETMASK, &all, &before);
    if (!__atomic_exchange_n(&loading, true, __ATOMIC_ACQUIRE)) {
        load(list);
        __atomic_store_n(&state_loaded, &state, __ATOMIC_RELEASE);
    }
    while (__atomic_load_n(&state_loaded, __ATOMIC_ACQUIRE) == NULL) {
        sys_sched_yield(); /* a thread that a constructor before ours has started is loading */
    }
    sys_sigprocmask(SIG_SETMASK, &before, NULL);
    return &state;
}

bool state_separate(void) {
    return own_copy_make(&state.index, &state.region, state.rung, state.hints);
}
