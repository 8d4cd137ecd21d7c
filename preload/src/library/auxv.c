#include "auxv.h"

#include <linux/auxvec.h>
#include <linux/prctl.h>

#include "../shared/syscalls.h"

#ifndef PR_GET_AUXV
#define PR_GET_AUXV 0x41555856 /* since Linux 6.4 */
#endif

/* The libc's; NULL in a program without one. */
extern unsigned long getauxval(unsigned long type) __attribute__((weak));

enum { ENTRIES_MAX = 64 }; /* the kernel passes about twenty */

struct auxv_entry {
    unsigned long type;
    unsigned long value;
};

/* The vector is asked of the kernel because its place on the stack is known only by way of the environment list, which
 * a constructor before ours may have replaced. */
static long read_auxv(struct auxv_entry *entries, size_t bytes) {
    long result = SYSCALL5(__NR_prctl, PR_GET_AUXV, entries, bytes, 0, 0);
    if (result > 0) {
        return result;
    }
    long fd = sys_openat(AT_FDCWD, "/proc/self/auxv", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return fd;
    }
    result = sys_read((int)fd, entries, bytes);
    sys_close((int)fd);
    return result;
}

bool auxv_find(unsigned long type, unsigned long *value) {
    struct auxv_entry entries[ENTRIES_MAX];
    for (size_t i = 0; i < ENTRIES_MAX; i++) {
        entries[i].type = AT_NULL; /* valgrind does not know that the call below fills them */
        entries[i].value = 0;
    }
    long bytes = read_auxv(entries, sizeof entries);
    for (long i = 0; i < ENTRIES_MAX && (i + 1) * (long)sizeof entries[0] <= bytes; i++) {
        if (entries[i].type == type) {
            *value = entries[i].value;
            return true;
        }
    }
    return false;
}

bool auxv_is_secure(void) {
    unsigned long value;
    if (auxv_find(AT_SECURE, &value)) {
        return value != 0;
    }
    /* An old kernel without /proc. */
    return getauxval == NULL || getauxval(AT_SECURE) != 0;
}
