/* A program without a libc that exits with 143 on SIGTERM, and is ready to do so after two microseconds: what arrives
 * earlier arrived during the bootstrap. Says "ready" when it is. */
#if !defined(__x86_64__)
#error "written for x86-64"
#endif

struct action {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    unsigned long mask;
};

static long call(long number, long a, long b, long c, long d) {
    long result;
    register long r10 __asm__("r10") = d;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return result;
}

static void end(int number) {
    call(231, 128 + number, 0, 0, 0); /* exit_group */
}

__attribute__((noreturn)) void _start(void) {
    static const struct action action = {end, 0x04000000 /* SA_RESTORER */, 0, 0};
    call(13, 15, (long)&action, 0, 8); /* rt_sigaction SIGTERM */
    call(1, 1, (long)"ready\n", 6, 0); /* write */
    for (;;) {
        call(34, 0, 0, 0, 0); /* pause */
    }
}
