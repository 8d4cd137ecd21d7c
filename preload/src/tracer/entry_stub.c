#include "entry_stub.h"

#include "../shared/bytes.h"

/* Offsets in struct entry_stub, for the assembler. */
#define CHILD "0"
#define CONSUMED "8"
#define FATAL "16"
#define MASK "24"
#define NO_TIME "32"
#define PAGE "48"
#define PAGE_BYTES "56"
#define ENTRY "64"
#define GADGET "72"
#define CODE_BYTES_MAX "432"

_Static_assert(offsetof(struct entry_stub, no_time) == 32 && offsetof(struct entry_stub, gadget) == 72 &&
                   sizeof(struct entry_stub) == 80 && ENTRY_STUB_BYTES_MAX == 432 + 80,
               "the offsets above");

#if defined(__x86_64__)
/* Takes one pending signal of the set at `set`; its number, or an error, is in eax. */
#define TAKE(set)                                                                    \
    "    lea entry_stub_end+" set "(%rip), %rdi\n"                                   \
    "    xor %esi, %esi\n"                                                           \
    "    lea entry_stub_end+" NO_TIME "(%rip), %rdx\n"                               \
    "    mov $8, %r10d\n" /* bytes of the set */                                     \
    "    mov $128, %eax\n" /* rt_sigtimedwait */                                     \
    "    syscall\n"

__asm__(".pushsection .rodata.entry_stub, \"a\"\n"
        ".balign 8\n"
        "entry_stub_begin:\n"
        "    mov $61, %eax\n" /* wait4 */
        "    mov entry_stub_end+" CHILD "(%rip), %edi\n"
        "    xor %esi, %esi\n"
        "    mov $0x40000000, %edx\n" /* __WALL */
        "    xor %r10d, %r10d\n"
        "    syscall\n"
        "    cmp $-4, %rax\n" /* EINTR */
        "    je entry_stub_begin\n"
        TAKE(CONSUMED)
        TAKE(FATAL)
        "    test %eax, %eax\n"
        "    jle 1f\n"
        "    lea 128(%rax), %edi\n"
        "    mov $231, %eax\n" /* exit_group */
        "    syscall\n"
        "1:  mov $2, %edi\n" /* SIG_SETMASK */
        "    lea entry_stub_end+" MASK "(%rip), %rsi\n"
        "    xor %edx, %edx\n"
        "    mov $8, %r10d\n"
        "    mov $14, %eax\n" /* rt_sigprocmask */
        "    syscall\n"
        "    mov entry_stub_end+" ENTRY "(%rip), %rax\n"
        "    push %rax\n" /* for a return to go there */
        "    xor %edx, %edx\n"
        "    xor %r10d, %r10d\n"
        "    xor %eax, %eax\n"
        "    xor %edi, %edi\n"
        "    xor %esi, %esi\n"
        "    mov entry_stub_end+" GADGET "(%rip), %rcx\n"
        "    test %rcx, %rcx\n"
        "    jz 2f\n"
        "    mov entry_stub_end+" PAGE "(%rip), %rdi\n"
        "    mov entry_stub_end+" PAGE_BYTES "(%rip), %rsi\n"
        "    mov $11, %eax\n" /* munmap, whose result is 0 */
        "    jmp *%rcx\n"
        "2:  ret\n"
        ".balign 8\n"
        "entry_stub_end:\n"
        ".org entry_stub_begin + " CODE_BYTES_MAX "\n" /* an error where there is more */
        ".popsection\n");
#elif defined(__aarch64__)
/* Takes one pending signal of the set at `set`; its number, or an error, is in x0. */
#define TAKE(set)                         \
    "    add x0, x16, #" set "\n"         \
    "    mov x1, #0\n"                    \
    "    add x2, x16, #" NO_TIME "\n"     \
    "    mov x3, #8\n" /* bytes of the set */ \
    "    mov x8, #137\n" /* rt_sigtimedwait */ \
    "    svc #0\n"

__asm__(".pushsection .rodata.entry_stub, \"a\"\n"
        ".balign 8\n"
        "entry_stub_begin:\n"
        "    adr x16, entry_stub_end\n"
        "    ldr x0, [x16, #" CHILD "]\n"
        "    mov x1, #0\n"
        "    mov x2, #0x40000000\n" /* __WALL */
        "    mov x3, #0\n"
        "    mov x8, #260\n" /* wait4 */
        "    svc #0\n"
        "    cmn x0, #4\n" /* EINTR */
        "    b.eq entry_stub_begin\n"
        TAKE(CONSUMED)
        TAKE(FATAL)
        "    cmp x0, #0\n"
        "    b.le 1f\n"
        "    add x0, x0, #128\n"
        "    mov x8, #94\n" /* exit_group */
        "    svc #0\n"
        "1:  mov x0, #2\n" /* SIG_SETMASK */
        "    add x1, x16, #" MASK "\n"
        "    mov x2, #0\n"
        "    mov x3, #8\n"
        "    mov x8, #135\n" /* rt_sigprocmask */
        "    svc #0\n"
        "    mov x2, #0\n"
        "    mov x3, #0\n"
        "    ldr x30, [x16, #" ENTRY "]\n"
        "    ldr x0, [x16, #" PAGE "]\n"
        "    ldr x1, [x16, #" PAGE_BYTES "]\n"
        "    ldr x16, [x16, #" GADGET "]\n"
        "    cbz x16, 2f\n"
        "    mov x8, #215\n" /* munmap */
        "    ret x16\n"
        "2:  mov x0, #0\n"
        "    mov x1, #0\n"
        "    mov x8, #0\n"
        "    ret\n"
        ".balign 8\n"
        "entry_stub_end:\n"
        ".org entry_stub_begin + " CODE_BYTES_MAX "\n" /* an error where there is more */
        ".popsection\n");
#endif

extern const char entry_stub_begin[] __attribute__((visibility("hidden")));
extern const char entry_stub_end[] __attribute__((visibility("hidden")));

size_t entry_stub_write(char *to, const struct entry_stub *stub) {
    size_t code_bytes = (size_t)(entry_stub_end - entry_stub_begin);
    char *at = bytes_copy(to, entry_stub_begin, code_bytes);
    bytes_copy(at, (const char *)stub, sizeof *stub);
    return code_bytes + sizeof *stub;
}
