/* How it works.
 *
 * The library has pointed the placeholders of this program at strings in secret memory, so what the program hands to exec
 * or posix_spawn is a list of pointers, some of them to plaintext. The kernel copies every string of that list to the
 * stack of the new program, where /proc/PID/environ shows it. So each call goes through here, in four steps:
 *
 *   1. Which entries are secrets?  compose_secret() knows one by its address, or by its text, since programs copy their
 *      environment before they change it. Where there is none, the list is handed on as it is, and nothing is spent.
 *   2. What is the program?  target.c finds the file that the libc will find, children.c returns whether --children lets it
 *      have secrets, and delivery.c how it gets them: by the library, by strongroom-tracer where its loader ignores
 *      libraries, or not at all.
 *   3. The region.  What the list holds now, changes of the program included, and no more, is written to a new descriptor
 *      of secret memory of the same kind (handover.c, region_write.c). The new program inherits it; ours is closed when
 *      the call returns.
 *   4. The list.  compose.c makes a new one: `NAME=` instead of each secret that is in the region, STRONGROOM_REGION
 *      with the number of the descriptor, LD_PRELOAD with the library in it. The strings that are no secrets are not
 *      copied.
 *
 * Three things make this harder than it sounds:
 *
 * - There is no allocator to ask. The call may come between vfork and exec, where memory is the parent's and a lock may
 *   be held for good, or in a signal handler. So the list is measured, working memory is cut from the stack or a mapping,
 *   and only then is anything written; two bits for each slot tell what is planned and what is done.
 * - Other threads may change the list meanwhile: setenv() takes no lock that we could take. So the list is read once to
 *   measure, once to write the region and once to compose, and each pass checks itself against the one before. Where they
 *   differ the call fails with EAGAIN: a placeholder without its secret, or a secret without its placeholder, never goes
 *   out.
 * - Between look and exec the file may be replaced. What the new program is handed is the same: a list without
 *   plaintext. If it does not load the library, its variables are empty.
 */
#include "child_environment.h"

#include "../shared/bytes.h"
#include "../shared/children.h"
#include "compose.h"
#include "../shared/fail.h"
#include "delivery.h"
#include "../shared/handover.h"
#include "region_write.h"
#include "../shared/syscalls.h"
#include "tracer_call.h"

/* How much of the stack is used for working memory. Threads of musl have 128 KiB of it, signal stacks may have a tenth
 * of that. A child of vfork() may use more: it shares its parent's memory, and a mapping would stay there when it execs. */
enum { STACK_BYTES = 16 * 1024, STACK_BYTES_IN_CHILD = 64 * 1024 };

/* One call and its working memory. */
struct passing {
    const struct state *state;
    const struct target *target;
    enum delivery delivery;
    char *const *list;
    struct composition composition;
    uint8_t *planned; /* one bit per slot: to be written to the region; */
    uint8_t *written; /* and there */
    size_t mark_bytes; /* of each */
    command_function *call;
    void *context;
};

bool child_environment_concerns(const struct state *state, char *const *list) {
    if (state == NULL || !state->has_region || list == NULL) {
        return false;
    }
    for (; *list != NULL; list++) {
        if (compose_secret(state, *list) != REGION_NO_SLOT) {
            return true;
        }
    }
    return false;
}

/* Whether the program is making a launch of its own: it hands over a region that is not ours. */
static bool is_launch(const struct state *state, char *const *list) {
    const char *text = environment_value(list, REGION_VARIABLE);
    struct handover handover;
    return text != NULL && handover_parse(text, &handover) && handover.fd != state->left_descriptor;
}

/* Makes the region that holds the secrets of the list; returns its descriptor or a negative errno value. */
static long make_region(const struct passing *passing) {
    const struct state *state = passing->state;
    uint8_t *planned = passing->planned;
    for (size_t i = 0; i < passing->mark_bytes; i++) {
        planned[i] = passing->written[i] = 0;
    }
    struct region_plan plan = {0, 0};
    for (char *const *entry = passing->list; *entry != NULL; entry++) {
        uint32_t slot = compose_secret(state, *entry);
        if (slot != REGION_NO_SLOT && !slot_is_marked(planned, slot)) {
            slot_mark(planned, slot);
            region_plan_add(&plan, text_length(*entry));
        }
    }
    struct shared shared;
    long result = handover_make(state->rung, region_plan_bytes(&plan), &shared);
    if (result == -EAGAIN) {
        fail_say(passing->target->path, "is not started: its secrets beside ours are over the limit of locked memory, which "
                                        "has to hold both for that moment; raise RLIMIT_MEMLOCK (ulimit -l)");
    }
    if (result < 0) {
        return result;
    }
    struct region_writer writer = region_begin(shared.memory, &plan, &state->region);
    uint32_t left = plan.entries;
    for (char *const *entry = passing->list; *entry != NULL; entry++) {
        uint32_t slot = compose_secret(state, *entry);
        if (slot != REGION_NO_SLOT && slot_is_marked(planned, slot) && !slot_is_marked(passing->written, slot)) {
            slot_mark(passing->written, slot);
            left--;
            if (!region_append(&writer, &state->region.slots[slot], *entry)) {
                handover_drop(&shared);
                return -EAGAIN;
            }
        }
    }
    if (left > 0) { /* another thread took one from the list */
        handover_drop(&shared);
        return -EAGAIN;
    }
    return handover_finish(&shared);
}

/* Where the libc looks for a program: what is found here is what it will find (execvpe() in both libcs). */
static const char *search_path_of(const struct state *state) {
    const char *path = environment_value(environment_now(), "PATH");
    return path != NULL ? path : state->libc.gnu_version != NULL ? "/bin:/usr/bin" : "/usr/local/bin:/bin:/usr/bin";
}

/* Calls with strongroom-tracer instead of the program. Not inlined, so that its page of stack is taken only where it
 * is needed. */
__attribute__((noinline)) static long call_by_tracer(struct passing *passing) {
    char path[TARGET_PATH_BYTES];
    const char *search_path = search_path_of(passing->state);
    long result = target_resolve(passing->target, search_path, path);
    if (result < 0 && passing->delivery != DELIVERY_LOOK) { /* since it was looked at */
        return result;
    }
    const struct tracer_call call = {
        .state = passing->state,
        .target = passing->target,
        .path = path,
        .search_path = search_path,
        .delivery = passing->delivery,
        .list = passing->composition.entries,
    };
    return tracer_call(&call, passing->call, passing->context);
}

/* Composes and calls. `region` is the STRONGROOM_REGION entry for a program that may have the secrets. */
static long call_with(struct passing *passing, enum audience audience, char *region) {
    passing->composition.included = audience == AUDIENCE_TRUSTED ? passing->written : NULL;
    if (!compose(&passing->composition, passing->state, passing->list, audience, region)) {
        return -EAGAIN; /* another thread changed the list since it was measured */
    }
    if (passing->delivery != DELIVERY_LIBRARY && passing->delivery != DELIVERY_NONE) {
        return call_by_tracer(passing);
    }
    const struct command command = {.list = passing->composition.entries};
    passing->call(passing->context, &command);
    return 0;
}

/* The case of a program that may have the secrets. */
static long call_with_region(struct passing *passing) {
    long fd = make_region(passing);
    if (fd < 0) {
        return fd;
    }
    char region[HANDOVER_TEXT_BYTES];
    handover_print(region, passing->state->rung, (int)fd);
    long result = call_with(passing, AUDIENCE_TRUSTED, region);
    sys_close((int)fd);
    return result;
}

/* How the program gets its secrets; a negative errno value where it cannot be executed. Not inlined, so that its page of
 * stack is given back before the working memory is taken. */
__attribute__((noinline)) static long choose(const struct state *state, const struct target *target) {
    char path[TARGET_PATH_BYTES];
    const char *search_path = search_path_of(state);
    bool found = target_resolve(target, search_path, path) == 0;
    if (!children_policy_allows(state->policy, path)) {
        return DELIVERY_NONE;
    }
    return delivery_choose(state, target, search_path, found ? path : NULL);
}

/* Cuts the working memory at `block` into its parts: pointers, marks, strings. */
static void cut(struct passing *passing, char *block, const struct composition_size *size) {
    passing->composition = (struct composition){.entries = (char **)(void *)block, .entries_left = size->entries};
    block += size->entries * sizeof(char *);
    passing->planned = (uint8_t *)block;
    passing->written = passing->planned + passing->mark_bytes;
    passing->composition.text = block + 2 * passing->mark_bytes;
    passing->composition.text_left = size->text_bytes;
}

long child_environment_call(const struct target *named, char *const *list, command_function *call, void *context) {
    const struct state *state = state_load(NULL);
    if (!child_environment_concerns(state, list)) {
        const struct command command = {.list = list};
        call(context, &command);
        return 0;
    }
    struct target with_libc = *named;
    with_libc.gnu = state->libc.gnu_version != NULL;
    const struct target *target = &with_libc;
    bool launch = is_launch(state, list);
    long delivery = launch ? DELIVERY_NONE : choose(state, target);
    if (delivery < 0) {
        return delivery;
    }

    struct composition_size size = compose_measure(state, list);
    struct passing passing = {
        .state = state,
        .target = target,
        .delivery = (enum delivery)delivery,
        .list = list,
        .call = call,
        .context = context,
    };
    passing.mark_bytes = (state->region.slot_count + 7) / 8;
    size_t bytes = size.entries * sizeof(char *) + 2 * passing.mark_bytes + size.text_bytes;
    bool in_child = SYSCALL0(__NR_getpid) != state->process;
    bool mapped = bytes > (in_child ? STACK_BYTES_IN_CHILD : STACK_BYTES);
    char *block;
    if (mapped) {
        block = sys_mmap(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        if (is_map_error(block)) {
            return (long)block;
        }
    } else {
        block = __builtin_alloca(bytes);
    }
    cut(&passing, block, &size);
    long result = delivery != DELIVERY_NONE ? call_with_region(&passing)
                                            : call_with(&passing, launch ? AUDIENCE_LAUNCH : AUDIENCE_DENIED, NULL);
    if (mapped) {
        sys_munmap(block, bytes);
    }
    return result;
}
