/* The tracer at work: carries a process through its exec, with its secrets put in place, and ends. */
#ifndef STRONGROOM_TRACER_ATTEND_H
#define STRONGROOM_TRACER_ATTEND_H

#include "../shared/handover.h"
#include "../shared/region.h"
#include "../shared/syscalls.h"

struct orders {
    const char *program;  /* for messages */
    struct shared copy;   /* the secrets for this program alone: mapped here, and open there under the same number */
    struct region region; /* the same, as it is mapped here */
    bool dumpable;        /* the program stays open to debuggers of its own user */
    kernel_sigset fatal;  /* of struct entry_stub, which see */
    kernel_sigset mask;
    kernel_sigset consumed;
};

/* Called when `pid`, whose child this is, has been seized. */
__attribute__((noreturn)) void attend(int pid, const struct orders *orders);

#endif
