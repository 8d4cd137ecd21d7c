#include "state.h"

#include <asm/signal.h>

#include "auxv.h"
#include "fail.h"
#include "handover.h"
#include "syscalls.h"

enum phase { NOT_LOADED, LOADING, LOADED };

static struct state state;
static int phase = NOT_LOADED;

static void load_region(const char *text) {
    struct handover handover;
    if (!handover_parse(text, &handover)) {
        fail(REGION_VARIABLE, "not of the form RUNG:FD, RUNG one of memfd-secret, locked, any, FD 100 or above");
    }
    size_t length;
    state.region = region_open(handover_take(&handover, &length));
    state.has_region = true;

    /* A mapping, because there is no allocator to ask. */
    size_t hint_bytes = (state.region.slot_count + 1) * sizeof(uint32_t);
    uint32_t *hints = sys_mmap(hint_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (is_map_error(hints)) {
        fail_call("region", "mapping memory: ", (long)hints);
    }
    environment_repoint(state.list, &state.region, hints);
    state.hints = hints;

    for (uint32_t slot = 0; slot < state.region.slot_count; slot++) {
        if (state.region.slots[slot].offset != 0) {
            unsigned bit = name_filter_bit(region_string(&state.region, slot));
            state.name_filter[bit / 64] |= UINT64_C(1) << (bit % 64);
        }
    }
}

static void load(char **list) {
    state.is_secure = auxv_is_secure();
    state.list = list;
    const char *text = environment_value(list, REGION_VARIABLE);
    if (text != NULL) {
        load_region(text);
    }
}

const struct state *state_load(char **envp) {
    if (__atomic_load_n(&phase, __ATOMIC_ACQUIRE) == LOADED) {
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
    int expected = NOT_LOADED;
    if (__atomic_compare_exchange_n(&phase, &expected, LOADING, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
        load(list);
        __atomic_store_n(&phase, LOADED, __ATOMIC_RELEASE);
    }
    while (__atomic_load_n(&phase, __ATOMIC_ACQUIRE) != LOADED) {
        sys_sched_yield(); /* a thread that a constructor before ours has started is loading */
    }
    sys_sigprocmask(SIG_SETMASK, &before, NULL);
    return &state;
}
