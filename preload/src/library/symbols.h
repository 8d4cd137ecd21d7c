/* The dynamic symbols of a loaded ELF object, read from its memory. */
#ifndef STRONGROOM_SYMBOLS_H
#define STRONGROOM_SYMBOLS_H

#include <elf.h>
#include <stdint.h>

struct symbols {
    Elf64_Addr base;
    const Elf64_Sym *symbols;
    const char *strings;
    const uint16_t *versions; /* NULL in an object without versions */
    const uint32_t *gnu_hash; /* one of the two tables may be missing */
    const uint32_t *sysv_hash;
};

/* The tables of the object that is loaded at `base` and has this dynamic section. */
struct symbols symbols_of(Elf64_Addr base, const Elf64_Dyn *dynamic);

/* The address of the function that a program linked today would get from the object, else 0. */
uintptr_t symbols_function(const struct symbols *object, const char *name);

#endif
