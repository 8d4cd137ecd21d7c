#include "attend.h"

#include <linux/auxvec.h>
#include <linux/elf.h>

#include "../shared/bytes.h"
#include "../shared/environment.h"
#include "entry_stub.h"
#include "tracee.h"

enum {
    STACK_BYTES_MAX = 8 << 20,   /* execve allows 6 MiB (execve(2), limits on size of arguments) */
    FIRST_READ_BYTES = 64 << 10, /* of the stack: enough for nearly all */
    HEADERS_BYTES = 4096,        /* of an ELF image: its header and program headers */
    SEARCH_BYTES = 64 << 10,     /* of code at a time */
    SEARCHES_MAX = 16,
};

/* The beginning of the program's stack, copied here: argc, argv[] and NULL, envp[] and NULL, the auxiliary vector, the
 * strings (fs/binfmt_elf.c, create_elf_tables). */
struct stack {
    uint64_t address;
    const char *bytes;
    size_t length; /* a NUL stands behind */
    size_t envp;   /* index of words */
    size_t auxv;
};

static const uint64_t *words_of(const struct stack *stack) {
    return (const void *)stack->bytes;
}

/* A value of the auxiliary vector; 0 where the kernel did not give it. */
static uint64_t auxiliary(const struct stack *stack, uint64_t type) {
    for (const uint64_t *entry = words_of(stack) + stack->auxv; entry[0] != AT_NULL; entry += 2) {
        if (entry[0] == type) {
            return entry[1];
        }
    }
    return 0;
}

static uint64_t required(const struct tracee *tracee, const struct stack *stack, uint64_t type) {
    uint64_t value = auxiliary(stack, type);
    if (value == 0) {
        tracee_end(tracee, "the kernel gave it no vDSO, which secrets by ptrace need; is it booted with vdso=0?");
    }
    return value;
}

/* Finds the arrays. Returns false when the bytes end before they do. */
static bool find_arrays(struct stack *stack) {
    const uint64_t *words = words_of(stack);
    size_t count = stack->length / sizeof *words;
    if (count == 0 || words[0] > count) {
        return false;
    }
    size_t at = stack->envp = (size_t)words[0] + 2; /* behind argc, the arguments and their NULL */
    while (at < count && words[at] != 0) {
        at++;
    }
    stack->auxv = ++at;
    for (; at + 1 < count; at += 2) {
        if (words[at] == AT_NULL) {
            return true;
        }
    }
    return false;
}

/* Reads the stack up to the name of the program, which is its last string. */
static struct stack read_stack(const struct tracee *tracee, uint64_t address) {
    char *bytes = sys_mmap(STACK_BYTES_MAX + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (is_map_error(bytes)) {
        tracee_end(tracee, "there is no memory to start it");
    }
    struct stack stack = {.address = address, .bytes = bytes};
    for (size_t wanted = FIRST_READ_BYTES; wanted <= STACK_BYTES_MAX; wanted *= 2) {
        stack.length = tracee_read(tracee, address, bytes, wanted);
        if (find_arrays(&stack)) {
            uint64_t name = auxiliary(&stack, AT_EXECFN);
            if (name <= address + stack.length || stack.length < wanted) {
                return stack;
            }
        }
    }
    tracee_end(tracee, "its stack is not as the kernel builds it");
}

/* Where in `bytes`, which stand at `address`, `pattern` begins at an address for instructions; 0 when nowhere. */
static uint64_t find_pattern(const char *bytes, size_t length, uint64_t address, const char *pattern, size_t size) {
    for (size_t at = (size_t)(-address % INSTRUCTION_ALIGNMENT); at + size <= length; at += INSTRUCTION_ALIGNMENT) {
        if (bytes_equal(bytes + at, pattern, size)) {
            return address + at;
        }
    }
    return 0;
}

/* Looks in the code from `begin` to `end`. */
static uint64_t search_span(const struct tracee *tracee, uint64_t begin, uint64_t end, const char *pattern,
                            size_t size) {
    static char code[SEARCH_BYTES];
    for (int search = 0; search < SEARCHES_MAX && begin < end; search++) {
        size_t length = tracee_read(tracee, begin, code, end - begin < sizeof code ? end - begin : sizeof code);
        uint64_t found = find_pattern(code, length, begin, pattern, size);
        if (found != 0 || length == 0) {
            return found;
        }
        begin += length;
    }
    return 0;
}

/* Looks for instructions in the ELF image at `head`, from the address `start` on; 0 when they are not there. */
static uint64_t search_image(const struct tracee *tracee, uint64_t head, uint64_t start, const char *pattern,
                             size_t size) {
    static _Alignas(Elf64_Ehdr) char bytes[HEADERS_BYTES];
    size_t length = tracee_read(tracee, head, bytes, sizeof bytes);
    const Elf64_Ehdr *header = (const void *)bytes;
    if (length < sizeof *header || !bytes_equal(bytes, ELFMAG, SELFMAG) || header->e_phoff > length ||
        header->e_phoff % sizeof(uint64_t) != 0 || header->e_phentsize != sizeof(Elf64_Phdr) ||
        header->e_phnum * sizeof(Elf64_Phdr) > length - header->e_phoff) {
        return 0;
    }
    const Elf64_Phdr *headers = (const void *)(bytes + header->e_phoff);
    uint64_t shift = 0;
    bool placed = false;
    for (size_t i = 0; i < header->e_phnum && !placed; i++) {
        placed = headers[i].p_type == PT_LOAD && headers[i].p_offset == 0;
        shift = head - headers[i].p_vaddr;
    }
    for (size_t i = 0; i < header->e_phnum && placed; i++) {
        if (headers[i].p_type == PT_LOAD && (headers[i].p_flags & PF_X) != 0) {
            uint64_t begin = shift + headers[i].p_vaddr;
            uint64_t end = begin + headers[i].p_filesz;
            uint64_t found = search_span(tracee, begin < start ? start : begin, end, pattern, size);
            if (found != 0) {
                return found;
            }
        }
    }
    return 0;
}

/* A system call of the program that must not fail. */
static long require_call(const struct tracee *tracee, const char *what, long number, const long arguments[6]) {
    long result = tracee_call(tracee, number, arguments);
    if (is_map_error((const void *)result)) {
        tracee_end(tracee, what);
    }
    return result;
}

/* Has the program map its secrets, and close the descriptor; returns the address. */
static uint64_t map_secrets(const struct tracee *tracee, const struct shared *copy) {
    const long mapping[6] = {0, (long)copy->length, PROT_READ | PROT_WRITE, MAP_SHARED, copy->fd, 0};
    long base = require_call(tracee, "mapping its secrets failed; is the locked-memory limit (ulimit -l) too low?",
                             __NR_mmap, mapping);
    if (copy->rung != RUNG_MEMFD_SECRET) { /* which is locked and kept out of core dumps by its kind */
        const long locking[6] = {base, (long)copy->length, 0, 0, 0, 0};
        if (tracee_call(tracee, __NR_mlock, locking) < 0 && copy->rung != RUNG_ANY) {
            tracee_end(tracee, "locking its secrets in memory failed; is the limit (ulimit -l) too low?");
        }
        const long advice[6] = {base, (long)copy->length, MADV_DONTDUMP, 0, 0, 0};
        require_call(tracee, "keeping its secrets out of core dumps failed", __NR_madvise, advice);
    }
    const long closing[6] = {copy->fd, 0, 0, 0, 0, 0};
    require_call(tracee, "closing the descriptor of its secrets failed", __NR_close, closing);
    return (uint64_t)base;
}

/* The string at `address` if it lies on the stack that was read, else NULL. What was read ends with a NUL. */
static const char *string_at(const struct stack *stack, uint64_t address) {
    bool inside = address >= stack->address && address - stack->address < stack->length;
    return inside ? stack->bytes + (address - stack->address) : NULL;
}

/* The slot of the secret for which the string at `address` is the placeholder, or REGION_NO_SLOT. */
static uint32_t slot_of(const struct stack *stack, const struct region *region, uint64_t address) {
    const char *entry = string_at(stack, address);
    if (entry == NULL) {
        return REGION_NO_SLOT;
    }
    size_t name_bytes;
    uint32_t slot = region_find(region, entry, &name_bytes);
    bool is_placeholder = slot != REGION_NO_SLOT && entry[name_bytes] == '=' && entry[name_bytes + 1] == '\0';
    return is_placeholder ? slot : REGION_NO_SLOT;
}

/* Points the placeholders in envp to their strings in the memory at `base`. Every secret must have one. */
static void repoint(const struct tracee *tracee, const struct stack *stack, const struct region *region,
                    uint64_t base) {
    uint8_t *found = sys_mmap(region->slot_count + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (is_map_error(found)) {
        tracee_end(tracee, "there is no memory to start it");
    }
    uint64_t *entries = (uint64_t *)(uintptr_t)words_of(stack);
    for (size_t i = stack->envp; i + 1 < stack->auxv; i++) {
        uint32_t slot = slot_of(stack, region, entries[i]);
        if (slot != REGION_NO_SLOT) {
            found[slot] = 1;
            entries[i] = base + region->slots[slot].offset;
        }
    }
    for (uint32_t slot = 0; slot < region->slot_count; slot++) {
        if (region->slots[slot].offset != 0 && !found[slot]) {
            tracee_end(tracee, "a secret has no placeholder in its environment");
        }
    }
    tracee_write(tracee, stack->address + stack->envp * sizeof *entries, entries + stack->envp,
                 (stack->auxv - 1 - stack->envp) * sizeof *entries);
}

/* Makes STRONGROOM_PADDING an empty variable, as the library does (environment.h). */
static void empty_padding(const struct tracee *tracee, const struct stack *stack) {
    const uint64_t *entries = words_of(stack);
    for (size_t i = stack->envp; i + 1 < stack->auxv; i++) {
        const char *entry = string_at(stack, entries[i]);
        if (entry != NULL && text_starts_with(entry, PADDING_VARIABLE "=")) {
            tracee_write(tracee, entries[i] + sizeof PADDING_VARIABLE, "", 1);
            return;
        }
    }
}

/* Puts the code for our leave-taking into a page of its own; returns its address. */
static uint64_t place_entry_stub(const struct tracee *tracee, const struct stack *stack, const struct orders *orders,
                                 uint64_t entry) {
    uint64_t page_bytes = required(tracee, stack, AT_PAGESZ);
    const long mapping[6] = {0, (long)page_bytes, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0};
    long page = require_call(tracee, "no page for code can be had; does a security policy forbid execmem?", __NR_mmap,
                             mapping);
    uint64_t loader = auxiliary(stack, AT_BASE); /* 0 in a static program, whose header linkers put before the table */
    uint64_t image = loader != 0 ? loader : auxiliary(stack, AT_PHDR) - sizeof(Elf64_Ehdr);
    struct entry_stub stub = {
        .child = (uint64_t)SYSCALL0(__NR_getpid),
        .consumed = orders->consumed,
        .fatal = orders->fatal,
        .mask = orders->mask,
        .page = (uint64_t)page,
        .page_bytes = page_bytes,
        .entry = entry,
        .gadget = search_image(tracee, image, entry, CALL_AND_RETURN_INSTRUCTIONS,
                               sizeof CALL_AND_RETURN_INSTRUCTIONS - 1),
    };
    _Alignas(uint64_t) char code[ENTRY_STUB_BYTES_MAX];
    tracee_write_code(tracee, (uint64_t)page, code, entry_stub_write(code, &stub));
    return (uint64_t)page;
}

void attend(int pid, const struct orders *orders) {
    struct tracee tracee = {pid, 0, orders->program};
    tracee_wait_for_exec(&tracee);
    struct registers registers;
    tracee_registers(&tracee, &registers);
    struct stack stack = read_stack(&tracee, registers.words[REGISTER_SP]);
    uint64_t vdso = required(&tracee, &stack, AT_SYSINFO_EHDR);
    tracee.gadget = search_image(&tracee, vdso, vdso, CALL_INSTRUCTION, sizeof CALL_INSTRUCTION - 1);
    if (tracee.gadget == 0) {
        tracee_end(&tracee, "the vDSO holds no system call instruction");
    }
    uint64_t base = map_secrets(&tracee, &orders->copy);
    empty_padding(&tracee, &stack); /* before the pointers: those that are written are no longer of the stack */
    repoint(&tracee, &stack, &orders->region, base);
    uint64_t page = place_entry_stub(&tracee, &stack, orders, registers.words[REGISTER_PC]);
    if (!orders->dumpable) { /* last: from now on only root reads or writes it */
        const long undumpable[6] = {PR_SET_DUMPABLE, 0, 0, 0, 0, 0};
        require_call(&tracee, "PR_SET_DUMPABLE failed", __NR_prctl, undumpable);
    }
    registers_go_to(&registers, page);
    tracee_release(&tracee, &registers);
    sys_exit_group(0);
}
