/* A loader that loads no libraries, as that of klibc: it is what runs of a program that names it. Prints the variables whose
 * names are its arguments, one `NAME=VALUE` a line; its exit status is 0 when all are there. */
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n mov %rsp, %rdi\n and $-16, %rsp\n call begin\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n mov x0, sp\n bl begin\n");
#endif

static long call(long number, long a, long b, long c) {
#if defined(__x86_64__)
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
#endif
}

static bool is_entry_of(const char *entry, const char *name) {
    while (*name != '\0' && *name == *entry) {
        name++;
        entry++;
    }
    return *name == '\0' && *entry == '=';
}

static bool print(char **entries, const char *name) {
    for (; *entries != NULL; entries++) {
        if (is_entry_of(*entries, name)) {
            long length = 0;
            while ((*entries)[length] != '\0') {
                length++;
            }
            call(SYS_write, 1, (long)*entries, length);
            call(SYS_write, 1, (long)"\n", 1);
            return true;
        }
    }
    return false;
}

__attribute__((noreturn, used)) void begin(char **stack) {
    long count = (long)stack[0];
    long missing = 0;
    for (long i = 1; i < count; i++) {
        missing += !print(stack + count + 2, stack[1 + i]);
    }
    for (;;) {
        call(SYS_exit_group, missing != 0, 0, 0);
    }
}
