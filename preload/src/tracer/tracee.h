/* One traced process, seen from its tracer: let it run, stop it, look into it, make it carry out system calls.
 *
 * It is seized (ptrace(2), PTRACE_SEIZE), so stop signals act on it as on any process; signals that arrive for it are
 * passed on. When it has ended, every function here ends the tracer, quietly.
 */
#ifndef STRONGROOM_TRACER_TRACEE_H
#define STRONGROOM_TRACER_TRACEE_H

#include <stddef.h>

#include "machine.h"

struct tracee {
    int pid;
    uint64_t gadget;     /* address of a call instruction in it; 0 while none is known */
    const char *program; /* for messages */
};

/* Seizes the process without stopping it. It is killed if this one ends before tracee_release(). Returns 0 or a negative
 * errno value. */
long tracee_seize(int pid);

/* Lets it run until it has exec'd, and on to the end of that call: until then the kernel writes its result. */
void tracee_wait_for_exec(const struct tracee *tracee);

/* Its registers. */
void tracee_registers(const struct tracee *tracee, struct registers *registers);

/* Reads its memory; returns how many bytes there were up to the first that cannot be read. */
size_t tracee_read(const struct tracee *tracee, uint64_t address, void *to, size_t bytes);

/* Writes into its writable memory. */
void tracee_write(const struct tracee *tracee, uint64_t address, const void *from, size_t bytes);

/* Writes into its code, which for itself is read-only; `bytes` is a multiple of eight. */
void tracee_write_code(const struct tracee *tracee, uint64_t address, const char *code, size_t bytes);

/* Makes it carry out a system call; returns the result, a negative errno value when it failed. */
long tracee_call(const struct tracee *tracee, long number, const long arguments[6]);

/* Lets it go on alone with these registers. */
void tracee_release(const struct tracee *tracee, const struct registers *registers);

/* Has it exit with status 120 and ends this process, with one line on standard error that says why. */
__attribute__((noreturn)) void tracee_end(const struct tracee *tracee, const char *reason);

#endif
