#include "tracee.h"

#include <linux/elf.h>
#include <linux/ptrace.h>
#include <linux/uio.h>
#include <linux/wait.h>

#include "../shared/bytes.h"
#include "../shared/fail.h"
#include "../shared/syscalls.h"

enum { SYSCALL_STOP = SIGTRAP | 0x80, ERRNO_MAX = 4095 };

static long ptrace(long request, int pid, unsigned long address, unsigned long data) {
    return SYSCALL4(__NR_ptrace, request, pid, address, data);
}

/* Waits for a change of state; ends this process when the tracee has ended. Returns the wait status of a stop. */
static int wait_for_stop(const struct tracee *tracee) {
    int status;
    long result;
    do {
        result = SYSCALL4(__NR_wait4, tracee->pid, &status, __WALL, NULL);
    } while (result == -EINTR);
    if (result < 0 || (status & 0xff) != 0x7f) {
        sys_exit_group(0);
    }
    return status;
}

/* Takes the result of a ptrace request. ESRCH: it was killed while it stood still. */
static void require(const struct tracee *tracee, long result) {
    if (result == -ESRCH) {
        for (;;) {
            wait_for_stop(tracee);
        }
    }
    if (result < 0) {
        SYSCALL2(__NR_kill, tracee->pid, SIGKILL); /* nothing can be done with it */
        fail(tracee->program, "the kernel refused a ptrace request that it has always allowed; it was killed");
    }
}

static void resume(const struct tracee *tracee, long request, int signal_number) {
    require(tracee, ptrace(request, tracee->pid, 0, (unsigned long)signal_number));
}

static bool stops(int signal_number) {
    return signal_number == SIGSTOP || signal_number == SIGTSTP || signal_number == SIGTTIN || signal_number == SIGTTOU;
}

/* Waits for a stop that is none of a signal; after such ones, passes on the signal and resumes with `request`. */
static void wait_past_signals(const struct tracee *tracee, long request) {
    for (;;) {
        int status = wait_for_stop(tracee);
        int number = (status >> 8) & 0xff;
        int event = status >> 16;
        if (event == PTRACE_EVENT_EXEC || number == SYSCALL_STOP) {
            return;
        }
        if (event == PTRACE_EVENT_STOP) {
            /* Stopped by job control it stays so until SIGCONT, which makes another stop of this kind. */
            resume(tracee, stops(number) ? PTRACE_LISTEN : request, 0);
        } else {
            resume(tracee, request, number);
        }
    }
}

static void set_registers(const struct tracee *tracee, const struct registers *registers) {
    struct iovec part = {(void *)(uintptr_t)registers, sizeof *registers};
    require(tracee, ptrace(PTRACE_SETREGSET, tracee->pid, NT_PRSTATUS, (unsigned long)&part));
}

long tracee_seize(int pid) {
    /* Nothing is read or written; but a seccomp profile that forbids these calls shows now and not after exec. */
    long result = syscall6(__NR_process_vm_readv, pid, 0, 0, 0, 0, 0);
    if (result >= 0) {
        result = syscall6(__NR_process_vm_writev, pid, 0, 0, 0, 0, 0);
    }
    if (result < 0) {
        return result;
    }
    return ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
}

void tracee_wait_for_exec(const struct tracee *tracee) {
    wait_past_signals(tracee, PTRACE_CONT);
    resume(tracee, PTRACE_SYSCALL, 0);
    wait_past_signals(tracee, PTRACE_SYSCALL);
}

void tracee_registers(const struct tracee *tracee, struct registers *registers) {
    struct iovec part = {registers, sizeof *registers};
    require(tracee, ptrace(PTRACE_GETREGSET, tracee->pid, NT_PRSTATUS, (unsigned long)&part));
    if (part.iov_len != sizeof *registers) { /* of 32 bits: another file than the one that was looked at */
        SYSCALL2(__NR_kill, tracee->pid, SIGKILL);
        fail(tracee->program, "was replaced by a program of another word size while it was started; it was killed");
    }
}

size_t tracee_read(const struct tracee *tracee, uint64_t address, void *to, size_t bytes) {
    size_t done = 0;
    while (done < bytes) {
        struct iovec here = {(char *)to + done, bytes - done};
        struct iovec there = {(void *)(address + done), bytes - done};
        long result = syscall6(__NR_process_vm_readv, tracee->pid, (long)&here, 1, (long)&there, 1, 0);
        if (result <= 0) {
            break;
        }
        done += (size_t)result;
    }
    return done;
}

void tracee_write(const struct tracee *tracee, uint64_t address, const void *from, size_t bytes) {
    for (size_t done = 0; done < bytes;) {
        struct iovec here = {(char *)(uintptr_t)from + done, bytes - done};
        struct iovec there = {(void *)(address + done), bytes - done};
        long result = syscall6(__NR_process_vm_writev, tracee->pid, (long)&here, 1, (long)&there, 1, 0);
        if (result <= 0) {
            tracee_end(tracee, "its stack cannot be written");
        }
        done += (size_t)result;
    }
}

void tracee_write_code(const struct tracee *tracee, uint64_t address, const char *code, size_t bytes) {
    for (size_t offset = 0; offset < bytes; offset += sizeof(uint64_t)) {
        uint64_t word;
        bytes_copy((char *)&word, code + offset, sizeof word);
        require(tracee, ptrace(PTRACE_POKEDATA, tracee->pid, address + offset, word));
    }
}

long tracee_call(const struct tracee *tracee, long number, const long arguments[6]) {
    struct registers registers;
    tracee_registers(tracee, &registers);
    registers_call(&registers, tracee->gadget, number, arguments);
    set_registers(tracee, &registers);
    for (int stop = 0; stop < 2; stop++) { /* at the entry of the call, and at its exit */
        resume(tracee, PTRACE_SYSCALL, 0);
        wait_past_signals(tracee, PTRACE_SYSCALL);
    }
    tracee_registers(tracee, &registers);
    return (long)registers.words[REGISTER_RESULT];
}

void tracee_release(const struct tracee *tracee, const struct registers *registers) {
    set_registers(tracee, registers);
    require(tracee, ptrace(PTRACE_DETACH, tracee->pid, 0, 0));
}

void tracee_end(const struct tracee *tracee, const char *reason) {
    fail_say(tracee->program, reason);
    struct registers registers;
    tracee_registers(tracee, &registers);
    uint64_t gadget = tracee->gadget;
    if (gadget == 0) { /* over its first instruction */
        gadget = registers.words[REGISTER_PC];
        tracee_write_code(tracee, gadget, CALL_INSTRUCTION "\0\0\0\0\0\0\0", sizeof(uint64_t));
    }
    const long arguments[6] = {FAIL_STATUS, 0, 0, 0, 0, 0};
    registers_call(&registers, gadget, __NR_exit_group, arguments);
    set_registers(tracee, &registers);
    for (;;) {
        resume(tracee, PTRACE_CONT, 0);
        wait_for_stop(tracee);
    }
}
