#include "go.h"

#include <linux/auxvec.h>
#include <linux/elf.h>
#include <stddef.h>
#include <stdint.h>

#include "auxv.h"
#include "bytes.h"

/* Stores where the file's addresses are shifted to. Returns false when there is nothing to tell it by: the dynamic loader
 * run as a program has no PT_PHDR, and is not at the addresses of its file. */
static bool find_shift(const Elf64_Phdr *headers, size_t count, uintptr_t *shift) {
    for (size_t i = 0; i < count; i++) {
        if (headers[i].p_type == PT_PHDR) {
            *shift = (uintptr_t)headers - headers[i].p_vaddr;
            return true;
        }
    }
    return false;
}

/* Whether a note segment of `bytes` bytes has a note of the owner "Go". */
static bool has_go_note(const char *at, size_t bytes) {
    while (bytes >= sizeof(Elf64_Nhdr)) {
        const Elf64_Nhdr *note = (const Elf64_Nhdr *)(const void *)at;
        size_t name_bytes = ((size_t)note->n_namesz + 3) / 4 * 4;
        size_t note_bytes = sizeof *note + name_bytes + ((size_t)note->n_descsz + 3) / 4 * 4;
        if (note_bytes > bytes) {
            return false;
        }
        /* The linker pads the owner to four bytes, and counts the padding. */
        if (note->n_namesz == 4 && bytes_equal(at + sizeof *note, "Go\0\0", 4)) {
            return true;
        }
        at += note_bytes;
        bytes -= note_bytes;
    }
    return false;
}

bool go_made_this_program(void) {
    unsigned long address;
    unsigned long count;
    if (!auxv_find(AT_PHDR, &address) || !auxv_find(AT_PHNUM, &count)) {
        return false;
    }
    const Elf64_Phdr *headers = (const Elf64_Phdr *)address;
    uintptr_t shift;
    if (!find_shift(headers, count, &shift)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (headers[i].p_type == PT_NOTE && headers[i].p_align == 4 &&
            has_go_note((const char *)(shift + headers[i].p_vaddr), headers[i].p_memsz)) {
            return true;
        }
    }
    return false;
}
