/* A dynamically linked program without a libc (as Go makes them): the library must load, and the kernel's list is
 * repointed. Its answer is its exit status: 0 when DB_PASSWORD=s3cret is in the list. */
#if !defined(__x86_64__)
#error "written for x86-64"
#endif

__asm__(".globl _start\n_start:\n mov %rsp, %rdi\n and $-16, %rsp\n call begin\n");

__attribute__((noreturn, used)) void begin(long *stack);

void begin(long *stack) {
    static const char wanted[] = "DB_PASSWORD=s3cret";
    long status = 1;
    for (char **entry = (char **)(stack + 1 + stack[0] + 1); *entry != 0; entry++) {
        unsigned long i = 0;
        while (i < sizeof wanted && (*entry)[i] == wanted[i]) {
            i++;
        }
        if (i == sizeof wanted) {
            status = 0;
        }
    }
    for (;;) {
        __asm__ volatile("syscall" : : "a"(231), "D"(status) : "rcx", "r11", "memory");
    }
}
