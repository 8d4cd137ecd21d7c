#include "libc.h"

#include <elf.h>

#include "../shared/bytes.h"
#include "symbols.h"

/* From <link.h>, which a freestanding build cannot rely on. */
struct loaded_object {
    Elf64_Addr base;
    const char *name;
    const Elf64_Phdr *headers;
    Elf64_Half header_count;
};

extern int dl_iterate_phdr(int (*visit)(struct loaded_object *, size_t, void *), void *context) __attribute__((weak));
extern const Elf64_Dyn _DYNAMIC[] __attribute__((visibility("hidden")));

enum { FUNCTIONS = sizeof(struct libc) / sizeof(void (*)(void)) };

/* In the order of struct libc. */
static const char *const NAMES[] = {
    "__errno_location",
    "getenv",
    "gnu_get_libc_version",
    "execve",
    "execvpe",
    "fexecve",
    "execveat",
    "posix_spawn",
    "posix_spawnp",
    "pidfd_spawn",
    "pidfd_spawnp",
    "posix_spawn_file_actions_init",
    "posix_spawn_file_actions_destroy",
    "posix_spawn_file_actions_addclose",
    "posix_spawn_file_actions_adddup2",
    "posix_spawn_file_actions_addclosefrom_np",
    "posix_spawnattr_init",
    "posix_spawnattr_destroy",
    "posix_spawnattr_setflags",
    "posix_spawnattr_setsigdefault",
    "posix_spawnattr_setsigmask",
    "system",
    "popen",
    "pclose",
    "fdopen",
    "fclose",
    "wordexp",
};
_Static_assert(sizeof NAMES / sizeof NAMES[0] == FUNCTIONS, "one name for each function");

struct search {
    bool after_this_library;
    uintptr_t found[FUNCTIONS];
};

static int visit(struct loaded_object *loaded, size_t size, void *context) {
    (void)size;
    struct search *search = context;
    const Elf64_Dyn *dynamic = NULL;
    for (Elf64_Half i = 0; i < loaded->header_count; i++) {
        if (loaded->headers[i].p_type == PT_DYNAMIC) {
            dynamic = (const void *)(loaded->base + loaded->headers[i].p_vaddr);
        }
    }
    if (dynamic == _DYNAMIC) {
        search->after_this_library = true;
        return 0;
    }
    if (!search->after_this_library || dynamic == NULL) {
        return 0;
    }
    struct symbols symbols = symbols_of(loaded->base, dynamic);
    for (size_t i = 0; i < FUNCTIONS; i++) {
        if (search->found[i] == 0) {
            search->found[i] = symbols_function(&symbols, NAMES[i]);
        }
    }
    return 0;
}

void libc_find(struct libc *libc) {
    struct search search = {.after_this_library = false};
    if (dl_iterate_phdr != NULL) {
        dl_iterate_phdr(visit, &search);
    }
    bytes_copy((char *)libc, (const char *)search.found, sizeof *libc);
}
