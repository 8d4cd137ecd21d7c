/* System calls without a libc, for x86-64 and aarch64.
 *
 * Each wrapper does one system call and returns what the kernel returned: a negative errno value on failure. None of
 * them touches the errno of the program, so all are safe in signal handlers and between vfork and exec.
 */
#ifndef STRONGROOM_SYSCALLS_H
#define STRONGROOM_SYSCALLS_H

#include <asm/signal.h>
#include <asm/stat.h>
#include <asm/statfs.h>
#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/time_types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The same on every architecture since 5.14; kernel headers of older build hosts do not have it. */
#ifndef __NR_memfd_secret
#define __NR_memfd_secret 447
#endif

#ifndef SECRETMEM_MAGIC
#define SECRETMEM_MAGIC 0x5345434d
#endif

static inline long syscall6(long number, long a, long b, long c, long d, long e, long f) {
#if defined(__x86_64__)
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
#else
#error "only x86-64 and aarch64 are supported"
#endif
}

#define SYSCALL0(n) syscall6((n), 0, 0, 0, 0, 0, 0)
#define SYSCALL1(n, a) syscall6((n), (long)(a), 0, 0, 0, 0, 0)
#define SYSCALL2(n, a, b) syscall6((n), (long)(a), (long)(b), 0, 0, 0, 0)
#define SYSCALL3(n, a, b, c) syscall6((n), (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define SYSCALL4(n, a, b, c, d) syscall6((n), (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define SYSCALL5(n, a, b, c, d, e) syscall6((n), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

/* Whether a result of sys_mmap() is an error; the kernel never maps the last page of the address space. */
static inline bool is_map_error(const void *address) {
    return (uintptr_t)address > (uintptr_t)-4096;
}

static inline void *sys_mmap_from(size_t bytes, int protection, int flags, int fd, size_t offset) {
    return (void *)syscall6(__NR_mmap, 0, (long)bytes, protection, flags, fd, (long)offset);
}

static inline void *sys_mmap(size_t bytes, int protection, int flags, int fd) {
    return sys_mmap_from(bytes, protection, flags, fd, 0);
}

static inline long sys_munmap(void *address, size_t bytes) {
    return SYSCALL2(__NR_munmap, address, bytes);
}

/* Moves a mapping to `to`, instead of what is mapped there. */
static inline void *sys_mremap_to(void *address, size_t bytes, void *to) {
    return (void *)SYSCALL5(__NR_mremap, address, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to);
}

static inline long sys_mlock(const void *address, size_t bytes) {
    return SYSCALL2(__NR_mlock, address, bytes);
}

static inline long sys_madvise(void *address, size_t bytes, int advice) {
    return SYSCALL3(__NR_madvise, address, bytes, advice);
}

static inline long sys_memfd_secret(unsigned int flags) {
    return SYSCALL1(__NR_memfd_secret, flags);
}

static inline long sys_memfd_create(const char *name, unsigned int flags) {
    return SYSCALL2(__NR_memfd_create, name, flags);
}

static inline long sys_fcntl(int fd, int command, long argument) {
    return SYSCALL3(__NR_fcntl, fd, command, argument);
}

static inline long sys_ftruncate(int fd, size_t bytes) {
    return SYSCALL2(__NR_ftruncate, fd, bytes);
}

static inline long sys_fstat(int fd, struct stat *status) {
    return SYSCALL2(__NR_fstat, fd, status);
}

static inline long sys_fstatfs(int fd, struct statfs *status) {
    return SYSCALL2(__NR_fstatfs, fd, status);
}

static inline long sys_close(int fd) {
    return SYSCALL1(__NR_close, fd);
}

static inline long sys_read(int fd, void *bytes, size_t length) {
    return SYSCALL3(__NR_read, fd, bytes, length);
}

static inline long sys_write(int fd, const void *bytes, size_t length) {
    return SYSCALL3(__NR_write, fd, bytes, length);
}

static inline long sys_openat(int directory, const char *path, int flags) {
    return SYSCALL4(__NR_openat, directory, path, flags, 0);
}

static inline long sys_set_dumpable(int dumpable) {
    return SYSCALL5(__NR_prctl, PR_SET_DUMPABLE, dumpable, 0, 0, 0);
}

static inline long sys_sched_yield(void) {
    return SYSCALL0(__NR_sched_yield);
}

/* A signal set as the kernel sees it: one bit per signal. */
typedef uint64_t kernel_sigset;

static inline kernel_sigset signal_bit(int number) {
    return (kernel_sigset)1 << (number - 1);
}

static inline long sys_sigprocmask(int how, const kernel_sigset *set, kernel_sigset *old) {
    return SYSCALL4(__NR_rt_sigprocmask, how, set, old, sizeof(kernel_sigset));
}

__attribute__((noreturn)) static inline void sys_exit_group(int status) {
    for (;;) {
        SYSCALL1(__NR_exit_group, status);
    }
}

/* Writing to a pipe that may have no reader, without the SIGPIPE that this would raise: it would end a program that has
 * done nothing wrong. */
static inline long quiet_write(int fd, const void *bytes, size_t length) {
    static const struct __kernel_timespec no_time = {0, 0};
    const kernel_sigset pipe = signal_bit(SIGPIPE);
    kernel_sigset before;
    kernel_sigset pending = 0;
    sys_sigprocmask(SIG_BLOCK, &pipe, &before);
    SYSCALL2(__NR_rt_sigpending, &pending, sizeof pending);
    long result = sys_write(fd, bytes, length);
    if (result == -EPIPE && (pending & pipe) == 0) {
        SYSCALL4(__NR_rt_sigtimedwait, &pipe, NULL, &no_time, sizeof pipe);
    }
    sys_sigprocmask(SIG_SETMASK, &before, NULL);
    return result;
}

/* Has a program without a libc begin with `main`, called with the stack as the kernel leaves it: argc, argv, NULL, envp,
 * NULL, auxv. */
#if defined(__x86_64__)
#define BEGIN_WITH(main) \
    __asm__(".globl _start\n" \
            "_start:\n" \
            "    xor %ebp, %ebp\n" \
            "    mov %rsp, %rdi\n" \
            "    and $-16, %rsp\n" \
            "    call " #main "\n")
#elif defined(__aarch64__)
#define BEGIN_WITH(main) \
    __asm__(".globl _start\n" \
            "_start:\n" \
            "    mov x29, #0\n" \
            "    mov x30, #0\n" \
            "    mov x0, sp\n" \
            "    bl " #main "\n")
#endif

#endif
