#include "symbols.h"

#include "../shared/bytes.h"

/* glibc writes absolute addresses into the dynamic section when it loads an object, musl leaves what the linker put. */
static const void *table(Elf64_Addr base, Elf64_Addr value) {
    return (const void *)(value < base ? base + value : value);
}

struct symbols symbols_of(Elf64_Addr base, const Elf64_Dyn *entry) {
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

uintptr_t symbols_function(const struct symbols *object, const char *name) {
    if (object->symbols == NULL || object->strings == NULL) {
        return 0;
    }
    if (object->gnu_hash != NULL) {
        return find_gnu(object, name);
    }
    return object->sysv_hash != NULL ? find_sysv(object, name) : 0;
}
