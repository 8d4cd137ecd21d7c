/* Writing to a pipe that may have no reader, without the SIGPIPE that this would raise: it would end a program that has
 * done nothing wrong. */
#ifndef STRONGROOM_QUIET_WRITE_H
#define STRONGROOM_QUIET_WRITE_H

#include <asm/signal.h>
#include <linux/time_types.h>

#include "syscalls.h"

/* write(2). Safe in threads and signal handlers, and between vfork and exec. */
static inline long quiet_write(int fd, const void *bytes, size_t length) {
    static const struct __kernel_timespec no_time = {0, 0};
    const kernel_sigset pipe = (kernel_sigset)1 << (SIGPIPE - 1);
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

#endif
