/* What the tracer must know of a processor: the registers of NT_PRSTATUS (ptrace(2), PTRACE_GETREGSET), its call
 * instruction. */
#ifndef STRONGROOM_TRACER_MACHINE_H
#define STRONGROOM_TRACER_MACHINE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
enum { /* struct user_regs_struct, sys/user.h */
    REGISTERS = 27,
    REGISTER_NUMBER = 10, /* rax */
    REGISTER_RESULT = 10,
    REGISTER_RESTART = 15, /* orig_rax: -1 where no interrupted call is to be repeated */
    REGISTER_PC = 16,
    REGISTER_SP = 19,
    INSTRUCTION_ALIGNMENT = 1,
};
#define REGISTERS_OF_ARGUMENTS {14, 13, 12, 7, 9, 8}
#define CALL_INSTRUCTION "\x0f\x05"                    /* syscall */
#define CALL_AND_RETURN_INSTRUCTIONS "\x0f\x05\xc3"    /* ret */
#elif defined(__aarch64__)
enum { /* struct user_pt_regs, asm/ptrace.h */
    REGISTERS = 34,
    REGISTER_NUMBER = 8,
    REGISTER_RESULT = 0,
    REGISTER_RESTART = -1,
    REGISTER_PC = 32,
    REGISTER_SP = 31,
    INSTRUCTION_ALIGNMENT = 4,
};
#define REGISTERS_OF_ARGUMENTS {0, 1, 2, 3, 4, 5}
#define CALL_INSTRUCTION "\x01\x00\x00\xd4"                                  /* svc #0 */
#define CALL_AND_RETURN_INSTRUCTIONS "\x01\x00\x00\xd4\xc0\x03\x5f\xd6"      /* ret */
#endif

struct registers {
    uint64_t words[REGISTERS];
};

/* Has the next instruction be the one at `address`. */
static inline void registers_go_to(struct registers *registers, uint64_t address) {
    registers->words[REGISTER_PC] = address;
#if defined(__x86_64__)
    registers->words[REGISTER_RESTART] = UINT64_MAX;
#endif
}

/* Has the call instruction at `address` carry out a system call. */
static inline void registers_call(struct registers *registers, uint64_t address, long number, const long *arguments) {
    static const unsigned char places[] = REGISTERS_OF_ARGUMENTS;
    registers_go_to(registers, address);
    registers->words[REGISTER_NUMBER] = (uint64_t)number;
    for (size_t i = 0; i < sizeof places; i++) {
        registers->words[places[i]] = (uint64_t)arguments[i];
    }
}

#endif
