/* The end of a process that cannot be given its secrets. */
#ifndef STRONGROOM_FAIL_H
#define STRONGROOM_FAIL_H

enum { FAIL_STATUS = 120 };

/* Writes one line, `strongroom: error: SUBJECT: REASON`, to standard error and ends the process with status 120. No
 * exit handler runs and nothing is flushed: the program has not begun yet. No part may hold a byte of a secret. */
__attribute__((noreturn)) void fail(const char *subject, const char *reason);

/* The same, for a system call that returned `result`, a negative errno value. */
__attribute__((noreturn)) void fail_call(const char *subject, const char *call, long result);

/* Writes the line of fail() and goes on. */
void fail_say(const char *subject, const char *reason);

#endif
