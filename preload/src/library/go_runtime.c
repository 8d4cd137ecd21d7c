#include "go_runtime.h"

#include <elf.h>
#include <linux/auxvec.h>
#include <stddef.h>
#include <stdint.h>

#include "auxv.h"
#include "../shared/bytes.h"
#include "symbols.h"

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

/* What Go's own linker puts at the beginning of the data (debug/buildinfo); the one of the C compiler, which is used for
 * cgo, puts it anywhere. */
static bool begins_with_build_info(const Elf64_Phdr *segment, uintptr_t shift) {
    static const char magic[] = "\xff Go buildinf:";
    return segment->p_filesz >= sizeof magic &&
           bytes_equal((const char *)(shift + segment->p_vaddr), magic, sizeof magic - 1);
}

/* Whether the program exports what cgo needs to be called back from C (runtime/cgo, cgo_export_dynamic). */
static bool exports_cgo(const Elf64_Phdr *dynamic, uintptr_t shift) {
    struct symbols symbols = symbols_of(shift, (const void *)(shift + dynamic->p_vaddr));
    return symbols_function(&symbols, "_cgo_topofstack") != 0 && symbols_function(&symbols, "crosscall2") != 0;
}

static bool is_mark_of_go(const Elf64_Phdr *header, uintptr_t shift) {
    switch (header->p_type) {
    case PT_NOTE: /* which -ldflags=-buildid= leaves out */
        return header->p_align == 4 && has_go_note((const char *)(shift + header->p_vaddr), header->p_memsz);
    case PT_LOAD:
        return (header->p_flags & PF_W) != 0 && begins_with_build_info(header, shift);
    case PT_DYNAMIC:
        return exports_cgo(header, shift);
    default:
        return false;
    }
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
        if (is_mark_of_go(&headers[i], shift)) {
            return true;
        }
    }
    return false;
}
