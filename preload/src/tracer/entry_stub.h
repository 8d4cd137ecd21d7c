/* What a tracer leaves in the program that it has prepared: a few instructions that run before its entry point.
 *
 * They wait for the tracer, which is a child of the program, drop its SIGCHLD where that is blocked, look whether a
 * signal arrived that would be lost on PID 1 (then they exit with 128 and its number), restore the signal mask, unmap
 * their own page and go to the entry point. The registers with a meaning there keep what the kernel gave them: the stack
 * pointer, and the one with the function to call at exit, which is zero (rdx in the x86-64 psABI, 3.4.1; x0 in glibc's
 * start code for aarch64). Jumps are returns on aarch64: with BTI only those may lead to any instruction.
 */
#ifndef STRONGROOM_TRACER_ENTRY_STUB_H
#define STRONGROOM_TRACER_ENTRY_STUB_H

#include <stddef.h>
#include <stdint.h>

/* Stands behind the code, in the same page. */
struct entry_stub {
    uint64_t child;      /* process number of the tracer */
    uint64_t consumed;   /* signal set: SIGCHLD, or empty */
    uint64_t fatal;      /* signals that end the program if they have arrived */
    uint64_t mask;       /* what the program shall find blocked */
    uint64_t no_time[2]; /* a struct timespec of nothing */
    uint64_t page;
    uint64_t page_bytes;
    uint64_t entry;
    uint64_t gadget; /* a call instruction with a return behind it, outside of the page; 0: the page stays */
};

enum { ENTRY_STUB_BYTES_MAX = 512 };

/* Writes code and `stub` to `to`, of ENTRY_STUB_BYTES_MAX; returns how many bytes they take, a multiple of eight. */
size_t entry_stub_write(char *to, const struct entry_stub *stub);

#endif
