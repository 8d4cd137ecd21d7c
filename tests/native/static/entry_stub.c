/* Runs the code in front of a static program's entry point (its bytes come on stdin) and tells what that point finds.
 *
 * entry_stub CHILD-BYTES [SIGNAL...]: the hex bytes are the instructions that carry the number of the child to wait
 * for, or behind an equals sign the number itself; here they get the real one. The signals are blocked, and pending for
 * this process. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE ((void *)0x1000000000)
#define ENTRY ((void *)0x2000000000)
#define GADGET ((void *)0x3000000000)
#define STACK_BYTES 65536

static char stack[STACK_BYTES] __attribute__((aligned(16)));
static pid_t child;
void arrived(uint64_t stack_pointer, uint64_t exit_function);
void jump(void *to, void *stack_pointer);

#if defined(__x86_64__)
static const unsigned char gadget[] = {0x0f, 0x05, 0xc3};
/* At the entry point: the stack pointer and rdx become arguments. */
__asm__(".globl at_entry\nat_entry: mov %rsp, %rdi\n mov %rdx, %rsi\n and $-16, %rsp\n call arrived\n"
        ".globl jump\njump: mov %rsi, %rsp\n mov %rdi, %rcx\n mov $-1, %rdx\n mov $-1, %rax\n jmp *%rcx\n");
#else
static const unsigned char gadget[] = {0x01, 0x00, 0x00, 0xd4, 0xc0, 0x03, 0x5f, 0xd6};
__asm__(".globl at_entry\nat_entry: mov x1, x0\n mov x0, sp\n bl arrived\n"
        ".globl jump\njump: mov sp, x1\n mov x16, x0\n mov x0, #-1\n br x16\n");
#endif
extern void at_entry(void);

static void *map(void *address, const void *bytes, size_t size) {
    void *page = mmap(address, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (page != address) {
        perror("mmap");
        exit(2);
    }
    memcpy(page, bytes, size);
    __builtin___clear_cache(page, (char *)page + size);
    return page;
}

static uint64_t signal_set(int number) {
    uint64_t set = 0;
    if (number == SYS_rt_sigpending) {
        syscall(SYS_rt_sigpending, &set, sizeof set);
    } else {
        syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &set, sizeof set);
    }
    return set;
}

void arrived(uint64_t stack_pointer, uint64_t exit_function) {
    printf("stack %llx\n", (unsigned long long)(stack_pointer - (uint64_t)(stack + STACK_BYTES / 2)));
    printf("exit_function %llx\n", (unsigned long long)exit_function);
    printf("child %x\n", !(waitpid(child, NULL, WNOHANG) == -1 && errno == ECHILD));
    unsigned char resident;
    printf("page %x\n", !(mincore(PAGE, 4096, &resident) == -1 && errno == ENOMEM));
    printf("blocked %llx\n", (unsigned long long)signal_set(SYS_rt_sigprocmask));
    printf("pending %llx\n", (unsigned long long)signal_set(SYS_rt_sigpending));
    fflush(stdout);
    _exit(0);
}

/* Puts the number of the child into the instructions at `at`, or there as it is. */
static void set_child(unsigned char *at, int as_data) {
    if (as_data) {
        memcpy(at, &child, sizeof child);
        return;
    }
#if defined(__x86_64__)
    memcpy(at + 1, &child, 4);
#else
    uint32_t words[2] = {0xd2800000 | (uint32_t)(child & 0xffff) << 5, 0xf2a00000 | (uint32_t)(child >> 16) << 5};
    memcpy(at, words, sizeof words);
#endif
}

int main(int argc, char **argv) {
    unsigned char code[4096], wanted[16];
    int as_data = argv[1][0] == '=';
    const char *digits = argv[1] + as_data;
    size_t size = fread(code, 1, sizeof code, stdin), wanted_bytes = strlen(digits) / 2;
    for (size_t i = 0; i < wanted_bytes; i++) {
        unsigned byte;
        sscanf(digits + 2 * i, "%2x", &byte);
        wanted[i] = (unsigned char)byte;
    }
    for (int i = 2; i < argc; i++) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, atoi(argv[i]));
        sigprocmask(SIG_BLOCK, &set, NULL);
        kill(getpid(), atoi(argv[i]));
    }
    child = fork();
    if (child == 0) {
        usleep(20000); /* so that there is something to wait for */
        _exit(0);
    }
    unsigned char *at = memmem(code, size, wanted, wanted_bytes);
    if (at == NULL) {
        fputs("no instructions with the child's number\n", stderr);
        return 2;
    }
    set_child(at, as_data);
    map(PAGE, code, size);
    map(GADGET, gadget, sizeof gadget);
#if defined(__x86_64__)
    unsigned char hop[12] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0}; /* movabs $at_entry,%rax; jmp *%rax */
    void *to = (void *)at_entry;
    memcpy(hop + 2, &to, 8);
#else
    unsigned char hop[16] = {0x50, 0x00, 0x00, 0x58, 0x00, 0x02, 0x1f, 0xd6}; /* ldr x16, #8; br x16 */
    void *to = (void *)at_entry;
    memcpy(hop + 8, &to, 8);
#endif
    map(ENTRY, hop, sizeof hop);
    jump(PAGE, stack + STACK_BYTES / 2);
}
