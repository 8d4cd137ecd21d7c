#include "libc.h"

#include <elf.h>

#include "bytes.h"

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
};
_Static_assert(sizeof NAMES / sizeof NAMES[0] == FUNCTIONS, "one name for each function");

struct symbols {
    Elf64_Addr base;
    const Elf64_Sym *symbols;
    const char *strings;
    const uint16_t *versions; /* NULL in an object without versions */
    const uint32_t *gnu_hash; /* one of the two tables may be missing */
    const uint32_t *sysv_hash;
};

struct search {
    bool after_this_library;
    uintptr_t found[FUNCTIONS];
};

/* glibc writes absolute addresses into the dynamic section when it loads an object, musl leaves what the linker put. */
static const void *table(Elf64_Addr base, Elf64_Addr value) {
    return (const void *)(value < base ? base + value : value);
}

static struct symbols read_dynamic(Elf64_Addr base, const Elf64_Dyn *entry) {
    struct symbols symbols = {.base = base};
    for (; entry->d_tag != DT_NULL; entry++) {
        const void *address = table(base, entry->d_un.d_ptr);
        switch (entry->d_tag) {
        case DT_SYMTAB:
            symbols.symbols = address;
            break;
        case DT_STRTAB:
            symbols.strings = address;
            break;
        case DT_VERSYM:
            symbols.versions = address;
            break;
        case DT_GNU_HASH:
            symbols.gnu_hash = address;
            break;
        case DT_HASH:
            symbols.sysv_hash = address;
            break;
        default:
            break;
        }
    }
    return symbols;
}

/* The address of a symbol if it is the definition a program linked today would get, else 0. */
static uintptr_t definition(const struct symbols *object, uint32_t index, const char *name) {
    const uint16_t hidden_version = 0x8000; /* an old version, kept for programs linked long ago */
    const Elf64_Sym *symbol = &object->symbols[index];
    bool usable = symbol->st_shndx != SHN_UNDEF && ELF64_ST_TYPE(symbol->st_info) == STT_FUNC &&
                  ELF64_ST_BIND(symbol->st_info) != STB_LOCAL;
    if (!usable || (object->versions != NULL && (object->versions[index] & hidden_version) != 0) ||
        !text_equal(object->strings + symbol->st_name, name)) {
        return 0;
    }
    return object->base + symbol->st_value;
}

/* Layout of DT_GNU_HASH: buckets, first symbol, words of the filter, shift; filter; buckets; chains. */
static uintptr_t find_gnu(const struct symbols *object, const char *name) {
    uint32_t hash = 5381;
    for (const char *c = name; *c != '\0'; c++) {
        hash = hash * 33 + (unsigned char)*c;
    }
    const uint32_t *header = object->gnu_hash;
    uint32_t bucket_count = header[0];
    uint32_t first = header[1];
    uint32_t filter_words = header[2];
    const uint32_t *buckets = header + 4 + filter_words * 2;
    const uint32_t *chains = buckets + bucket_count;
    if (bucket_count == 0) {
        return 0;
    }
    uint32_t index = buckets[hash % bucket_count];
    if (index < first) {
        return 0;
    }
    for (;; index++) {
        uint32_t entry = chains[index - first];
        if ((entry | 1) == (hash | 1)) {
            uintptr_t address = definition(object, index, name);
            if (address != 0) {
                return address;
            }
        }
        if ((entry & 1) != 0) {
            return 0; /* the last of its chain */
        }
    }
}

/* Layout of DT_HASH: number of buckets, number of symbols; buckets; chains. Searched from end to end: it is met only in
 * small libraries without the other table. */
static uintptr_t find_sysv(const struct symbols *object, const char *name) {
    for (uint32_t index = 1; index < object->sysv_hash[1]; index++) {
        uintptr_t address = definition(object, index, name);
        if (address != 0) {
            return address;
        }
    }
    return 0;
}

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
    struct symbols symbols = read_dynamic(loaded->base, dynamic);
    if (symbols.symbols == NULL || symbols.strings == NULL) {
        return 0;
    }
    for (size_t i = 0; i < FUNCTIONS; i++) {
        if (search->found[i] == 0 && symbols.gnu_hash != NULL) {
            search->found[i] = find_gnu(&symbols, NAMES[i]);
        } else if (search->found[i] == 0 && symbols.sysv_hash != NULL) {
            search->found[i] = find_sysv(&symbols, NAMES[i]);
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
