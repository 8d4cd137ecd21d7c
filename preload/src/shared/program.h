/* What the kernel would run for a path: an ELF file, or the interpreter of a script. */
#ifndef STRONGROOM_PROGRAM_H
#define STRONGROOM_PROGRAM_H

#include <stdbool.h>

enum program_kind {
    PROGRAM_NONE,       /* not a program of a kind we know; what exec says of it is the answer */
    PROGRAM_DYNAMIC,    /* names a dynamic loader, which honours LD_PRELOAD */
    PROGRAM_STATIC,     /* names none, or one that loads no libraries; the dynamic loader itself is one of these */
    PROGRAM_FOREIGN,    /* of another machine or word size */
    PROGRAM_UNREADABLE, /* it or its loader may be executed and not read, so it could be any */
};

struct program {
    enum program_kind kind;
    bool is_script;        /* what the file names runs it */
    bool is_by_link;       /* a link like /proc/self/exe or /proc/self/fd/3 leads to it: the kernel follows it in the process
                              that asks */
    bool may_move;         /* in another directory, or with other descriptors, its name or that of an interpreter may lead
                              elsewhere; also where that is not known */
    bool is_stranded;      /* the interpreter of a script, or the loader of a program, is not there or may not be executed: exec
                              fails, and execvp() goes on to the next directory */
    bool raises_ids;       /* a set-ID bit that gives it another user or group than this process has */
    bool has_capabilities; /* file capabilities that count for this user */
};

/* Looks at `path` seen from `directory`, or for an empty path at the file that the descriptor `directory` leads to, and
 * follows interpreters as the kernel does. Returns 0, or a negative errno value where the lack of something kept it from
 * looking (EMFILE, ENOMEM and the like). No allocation; leaves no descriptor; safe between vfork and exec. */
long program_look(int directory, const char *path, struct program *program);

/* Whether the kernel starts such a program in secure-execution mode, in which its loader ignores LD_PRELOAD (ld.so(8)).
 * Bits that a mount option takes away are counted all the same. */
bool program_runs_secure(const struct program *program);

/* What keeps this process, by its effective user and what that may do, from executing a file, or searching a directory: a
 * negative errno value, or 0. */
long program_execution_error(int directory, const char *path);

static inline bool program_may_be_executed(int directory, const char *path) {
    return program_execution_error(directory, path) == 0;
}

/* Whether real and effective user, or group, of this process differ. */
bool program_ids_differ(void);

/* Whether execve() may raise what this process may do; false under no_new_privs. */
bool program_may_gain(void);

/* Whether a loader started now would find the library at this path and be able to map it: not behind every chroot. */
bool program_can_load(const char *library);

#endif
