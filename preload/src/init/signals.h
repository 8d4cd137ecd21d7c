/* Signals as the kernel numbers them.
 *
 * The libcs keep two or three real-time signals to themselves and leave them out of sigfillset(); an init has to pass
 * on what it is sent, whatever libc it was built with. So sets are the kernel's own, and the calls are made directly. */
#ifndef STRONGROOM_INIT_SIGNALS_H
#define STRONGROOM_INIT_SIGNALS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { LAST_SIGNAL = 64, FIRST_REALTIME_SIGNAL = 34, SIGNAL_NAME_BYTES = 16 };

/* Bit n - 1 stands for signal n. */
typedef uint64_t signal_set;

static inline signal_set signal_bit(int number) {
    return (signal_set)1 << (number - 1);
}

/* Every signal that is passed on: all but SIGKILL and SIGSTOP, which nobody can catch, SIGCHLD, which is ours, and
 * those that report a fault of this very process. */
signal_set signals_passed_on(void);

/* Replaces the mask of blocked signals and returns the earlier one. */
signal_set signals_block_only(signal_set blocked);

/* Lets a blocked signal through for a moment: if it has arrived, what its disposition says happens now. */
void signal_let_through(int number);

/* Signals that are blocked and have arrived. */
signal_set signals_pending(void);

/* Takes one arrived signal of the set, waiting up to `timeout_ms` for it (-1: without end). Returns its number, or 0
 * when none came or the wait was cut short; the caller looks at its clock and calls again. */
int signals_take(signal_set wanted, siginfo_t *info, int64_t timeout_ms);

/* Sends the signal that `info` describes to a process; a value that sigqueue(3) sent along stays with it. False, with
 * errno, when that failed. */
bool signal_pass_on(const siginfo_t *info, pid_t to);

/* The same for a process group, for which the kernel has no call that takes a value. */
bool signal_pass_on_to_group(const siginfo_t *info, pid_t group);

/* The number of "TERM", "SIGTERM", "15", "RTMIN+1", ...; 0 if there is no such signal. */
int signal_number(const char *text);

/* "SIGTERM", "SIGRTMIN+1", ...; points into `text`. */
const char *signal_name(char text[SIGNAL_NAME_BYTES], int number);

#endif
