/* What PID 1 does all day. */
#ifndef STRONGROOM_INIT_SUPERVISE_H
#define STRONGROOM_INIT_SUPERVISE_H

#include <sys/types.h>

#include "options.h"
#include "terminal.h"

/* Passes signals on to the child, reaps whatever ends, carries out the stop timeout; returns once the child has ended,
 * with the status to end with. The signals of signals_passed_on() and SIGCHLD must be blocked. Allocates nothing. */
int supervise(const struct options *options, pid_t child, struct terminal *terminal);

#endif
