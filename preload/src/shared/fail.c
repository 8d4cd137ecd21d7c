#include "fail.h"

#include "bytes.h"
#include "syscalls.h"

enum { STANDARD_ERROR = 2, LINE_BYTES = 640, SUBJECT_BYTES = 200 };

static const struct {
    long number;
    const char *text;
} REASONS[] = {
    {EBADF, "EBADF (not open; something on the way here closed it)"},
    {EPERM, "EPERM (refused; a seccomp profile may forbid it)"},
    {ENOSYS, "ENOSYS (not offered by this kernel)"},
    {EAGAIN, "EAGAIN (over the locked-memory limit, see ulimit -l)"},
    {ENOMEM, "ENOMEM (out of memory or over the locked-memory limit, see ulimit -l)"},
    {EMFILE, "EMFILE (too many open files)"},
    {ENFILE, "ENFILE (too many open files on this machine)"},
    {EINVAL, "EINVAL"},
    {EACCES, "EACCES"},
};

static char *append(char *at, const char *end, const char *text) {
    while (*text != '\0' && at < end) {
        *at++ = *text++;
    }
    return at;
}

/* A name that may be a path of any length and content: of a long one the end, and no control characters. */
static char *append_subject(char *at, const char *end, const char *subject) {
    size_t length = text_length(subject);
    if (length > SUBJECT_BYTES) {
        at = append(at, end, "...");
        subject += length - SUBJECT_BYTES;
    }
    for (; *subject != '\0' && at < end; subject++) {
        unsigned char byte = (unsigned char)*subject;
        *at++ = byte < ' ' || byte == 127 ? '?' : *subject;
    }
    return at;
}

/* One write(2), so that lines of several processes do not mix. */
static void say_line(const char *subject, const char *reason, const char *detail) {
    char line[LINE_BYTES];
    const char *end = line + sizeof line - 1;
    char *at = append(line, end, "strongroom: error: ");
    at = append_subject(at, end, subject);
    at = append(at, end, ": ");
    at = append(at, end, reason);
    at = append(at, end, detail);
    *at++ = '\n';
    quiet_write(STANDARD_ERROR, line, (size_t)(at - line)); /* a program that goes on is not to end for want of a reader */
}

__attribute__((noreturn)) static void end_with_line(const char *subject, const char *reason, const char *detail) {
    say_line(subject, reason, detail);
    sys_exit_group(FAIL_STATUS);
}

void fail_say(const char *subject, const char *reason) {
    say_line(subject, reason, "");
}

void fail(const char *subject, const char *reason) {
    end_with_line(subject, reason, "");
}

void fail_call(const char *subject, const char *call, long result) {
    for (size_t i = 0; i < sizeof REASONS / sizeof REASONS[0]; i++) {
        if (REASONS[i].number == -result) {
            end_with_line(subject, call, REASONS[i].text);
        }
    }
    end_with_line(subject, call, "failed");
}
