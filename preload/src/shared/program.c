#include "program.h"

#include <linux/elf.h>
#include <linux/limits.h>
#include <linux/stat.h>

#include "bytes.h"
#include "syscalls.h"

enum {
    HEAD_BYTES = 256,      /* BINPRM_BUF_SIZE, linux/binfmts.h: what the kernel reads of a file to tell its kind */
    INTERPRETERS_MAX = 5,  /* exec_binprm() in fs/exec.c */
    HEADERS_AT_A_TIME = 8,
    EXECUTE = 1,           /* X_OK */
    READ = 4,              /* R_OK */
    MOUNTED_NOEXEC = 8,    /* ST_NOEXEC, statfs(2) */
#if defined(__x86_64__)
    OUR_MACHINE = EM_X86_64,
#else
    OUR_MACHINE = EM_AARCH64,
#endif
};

/* <linux/openat2.h>, since Linux 5.6; kernel headers of older build hosts do not have it. */
#ifndef __NR_openat2
#define __NR_openat2 437
#endif
#ifndef __NR_faccessat2
#define __NR_faccessat2 439 /* since Linux 5.8 */
#endif
struct open_request {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};
enum { NO_MAGIC_LINKS = 2 }; /* RESOLVE_NO_MAGICLINKS */

static const char DESCRIPTOR_LINK[] = "/proc/self/fd/";

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

/* Reduces the first line of a script to the name of its interpreter, in place, as fs/binfmt_script.c does. Returns NULL
 * where the kernel finds none. `head` has HEAD_BYTES and a NUL behind them. */
static char *interpreter_in(char *head) {
    char *at = head + 2;
    while (is_blank(*at)) {
        at++;
    }
    char *name = at;
    while (*at != '\0' && *at != '\n' && !is_blank(*at)) {
        at++;
    }
    if (at == name || at == head + HEAD_BYTES) { /* none, or cut off */
        return NULL;
    }
    *at = '\0';
    return name;
}

enum presence { PRESENT, ABSENT, BROKEN };

/* The first program header of a type. */
static enum presence find_header(int fd, const Elf64_Ehdr *header, Elf64_Word type, Elf64_Phdr *found) {
    Elf64_Phdr headers[HEADERS_AT_A_TIME];
    for (size_t done = 0; done < header->e_phnum; done += HEADERS_AT_A_TIME) {
        size_t count = header->e_phnum - done < HEADERS_AT_A_TIME ? header->e_phnum - done : HEADERS_AT_A_TIME;
        size_t bytes = count * sizeof headers[0];
        long got = SYSCALL4(__NR_pread64, fd, headers, bytes, header->e_phoff + done * sizeof headers[0]);
        if (got != (long)bytes) {
            return BROKEN;
        }
        for (size_t i = 0; i < count; i++) {
            if (headers[i].p_type == type) {
                *found = headers[i];
                return PRESENT;
            }
        }
    }
    return ABSENT;
}

/* Whether a call failed for the lack of something. */
static bool is_lack(long result) {
    return result == -EMFILE || result == -ENFILE || result == -ENOMEM;
}

/* As load_elf_binary() in fs/binfmt_elf.c takes it, which does not look at the class; that of a foreign program, which an
 * emulator may be registered for, must make sense. */
static enum program_kind kind_of_elf(int fd, const Elf64_Ehdr *header, Elf64_Phdr *interpreter) {
    unsigned char class = header->e_ident[EI_CLASS];
    bool makes_sense = class == ELFCLASS32 || class == ELFCLASS64;
    if (header->e_ident[EI_DATA] == ELFDATA2MSB) {
        return makes_sense ? PROGRAM_FOREIGN : PROGRAM_NONE;
    }
    if (header->e_type != ET_EXEC && header->e_type != ET_DYN) {
        return PROGRAM_NONE;
    }
    if (header->e_machine != OUR_MACHINE || header->e_phentsize != sizeof(Elf64_Phdr)) {
        return makes_sense ? PROGRAM_FOREIGN : PROGRAM_NONE;
    }
    if (header->e_phnum == 0) {
        return PROGRAM_NONE;
    }
    enum presence presence = find_header(fd, header, PT_INTERP, interpreter);
    return presence == PRESENT ? PROGRAM_DYNAMIC : presence == ABSENT ? PROGRAM_STATIC : PROGRAM_NONE;
}

/* Not to wait for the other end of a FIFO, nor to take a terminal. */
enum { READ_FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY };

/* Notes what a program is whose loader is the file in `fd`. One that is itself no shared object, as that of klibc is none,
 * loads no libraries. */
static void note_loader(int fd, struct program *program) {
    _Alignas(Elf64_Ehdr) char head[sizeof(Elf64_Ehdr)];
    const Elf64_Ehdr *header = (const void *)head;
    Elf64_Phdr found;
    struct stat status;
    program->is_stranded = sys_fstat(fd, &status) < 0 || !S_ISREG(status.st_mode);
    if (program->is_stranded || SYSCALL4(__NR_pread64, fd, head, sizeof head, 0) != sizeof head ||
        !bytes_equal(head, ELFMAG, SELFMAG) || header->e_machine != OUR_MACHINE || header->e_phentsize != sizeof found) {
        return; /* the kernel will not execute it */
    }
    if (find_header(fd, header, PT_DYNAMIC, &found) == ABSENT) {
        program->kind = PROGRAM_STATIC;
    }
}

/* Looks at the loader that a program names. `name` has room for that. Returns 0, or a negative errno value as program_look()
 * does. */
static long look_at_named_loader(int fd, const Elf64_Phdr *interpreter, char *name, struct program *program) {
    if (SYSCALL4(__NR_pread64, fd, name, interpreter->p_filesz, interpreter->p_offset) != (long)interpreter->p_filesz ||
        name[interpreter->p_filesz - 1] != '\0') {
        program->kind = PROGRAM_NONE;
        return 0;
    }
    program->may_move |= name[0] != '/';
    program->is_stranded = !program_may_be_executed(AT_FDCWD, name);
    if (program->is_stranded) {
        return 0;
    }
    long loader = sys_openat(AT_FDCWD, name, READ_FLAGS);
    if (loader >= 0) {
        note_loader((int)loader, program);
        sys_close((int)loader);
    } else if (loader == -EACCES) {
        program->kind = PROGRAM_UNREADABLE;
    }
    return is_lack(loader) ? loader : 0;
}

/* Not inlined, so that its page of stack is taken only where it is needed. */
__attribute__((noinline)) static long look_at_far_loader(int fd, const Elf64_Phdr *interpreter, struct program *program) {
    char name[PATH_MAX];
    return look_at_named_loader(fd, interpreter, name, program);
}

static long look_at_loader(int fd, const Elf64_Phdr *interpreter, struct program *program) {
    char name[HEAD_BYTES];
    if (interpreter->p_filesz < 2 || interpreter->p_filesz > PATH_MAX) { /* load_elf_binary() takes neither */
        program->kind = PROGRAM_NONE;
        return 0;
    }
    return interpreter->p_filesz > sizeof name ? look_at_far_loader(fd, interpreter, program)
                                               : look_at_named_loader(fd, interpreter, name, program);
}

static void look_at_privileges(int fd, const struct stat *status, struct program *program) {
    bool other_user = (status->st_mode & S_ISUID) != 0 && status->st_uid != SYSCALL0(__NR_getuid);
    bool group_bit = (status->st_mode & S_ISGID) != 0 && (status->st_mode & S_IXGRP) != 0; /* else of no effect */
    bool other_group = group_bit && status->st_gid != SYSCALL0(__NR_getgid);
    program->raises_ids = other_user || other_group;
    program->has_capabilities = SYSCALL0(__NR_getuid) != 0 &&
                                SYSCALL4(__NR_fgetxattr, fd, "security.capability", NULL, 0) > 0;
}

/* A descriptor to read the file with that another one leads to, or a negative errno value. */
static long open_descriptor(int descriptor) {
    long fd = sys_fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    char nothing;
    if (fd >= 0 && SYSCALL4(__NR_pread64, fd, &nothing, 0, 0) == -EBADF) { /* open with O_PATH, or for writing */
        sys_close((int)fd);
        char link[sizeof DESCRIPTOR_LINK + 10];
        text_number(bytes_copy(link, DESCRIPTOR_LINK, sizeof DESCRIPTOR_LINK - 1), (unsigned)descriptor);
        fd = sys_openat(AT_FDCWD, link, READ_FLAGS);
    }
    return fd;
}

/* A descriptor to read the file with, or a negative errno value. Notes in `program` what the name depends on. */
static long open_to_read(int directory, const char *path, struct program *program) {
    if (path[0] == '\0' && directory >= 0) {
        return open_descriptor(directory);
    }
    const struct open_request request = {.flags = READ_FLAGS, .resolve = NO_MAGIC_LINKS};
    long fd = SYSCALL4(__NR_openat2, directory, path, &request, sizeof request);
    if (fd >= 0) {
        program->may_move |= path[0] != '/';
        return fd;
    }
    program->may_move = true; /* it is not there yet, or behind such a link, or an older kernel cannot tell */
    program->is_by_link |= fd == -ELOOP && !program->is_script;
    return sys_openat(directory, path, READ_FLAGS);
}

long program_execution_error(int directory, const char *path) {
    long result = SYSCALL4(__NR_faccessat2, directory, path, EXECUTE, AT_EACCESS);
    if (result == -ENOSYS || result == -EPERM) { /* an older kernel, or a seccomp profile; this asks for the real user */
        result = SYSCALL3(__NR_faccessat, directory, path, EXECUTE);
    }
    return result;
}

/* Looks at one file; what it finds in a script is the name of the interpreter, in `head`. Returns 0, or a negative errno value
 * as program_look() does. */
static long look_at_file(int fd, char *head, char **interpreter, struct program *program) {
    struct stat status;
    if (sys_fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        program->is_stranded = program->is_script;
        return 0;
    }
    long got = SYSCALL4(__NR_pread64, fd, head, HEAD_BYTES, 0);
    if (got < 2) {
        return 0;
    }
    for (long i = got; i <= HEAD_BYTES; i++) {
        head[i] = '\0';
    }
    if (head[0] == '#' && head[1] == '!') {
        *interpreter = interpreter_in(head);
        return 0;
    }
    if (bytes_equal(head, ELFMAG, SELFMAG)) {
        Elf64_Phdr loader;
        program->kind = kind_of_elf(fd, (const Elf64_Ehdr *)(const void *)head, &loader);
        look_at_privileges(fd, &status, program);
        if (program->kind == PROGRAM_DYNAMIC) {
            return look_at_loader(fd, &loader, program);
        }
    }
    return 0;
}

long program_look(int directory, const char *path, struct program *program) {
    *program = (struct program){.kind = PROGRAM_NONE};
    _Alignas(Elf64_Ehdr) char head[HEAD_BYTES + 1];
    char name[HEAD_BYTES];
    for (int level = 0; level <= INTERPRETERS_MAX; level++) {
        long fd = open_to_read(directory, path, program);
        if (fd < 0) {
            bool may_be_executed = path[0] == '\0' || program_may_be_executed(directory, path);
            if (fd == -EACCES && may_be_executed) {
                program->kind = PROGRAM_UNREADABLE;
            }
            program->is_stranded = program->is_script && !may_be_executed;
            return is_lack(fd) ? fd : 0;
        }
        if (program->is_script && !program_may_be_executed(directory, path)) {
            sys_close((int)fd);
            program->is_stranded = true;
            return 0;
        }
        char *interpreter = NULL;
        long result = look_at_file((int)fd, head, &interpreter, program);
        sys_close((int)fd);
        if (interpreter == NULL) {
            return result;
        }
        bytes_copy(name, interpreter, text_length(interpreter) + 1);
        program->is_script = true;
        path = name;
        directory = AT_FDCWD;
    }
    return 0;
}

bool program_runs_secure(const struct program *program) {
    if (program->has_capabilities || (program->raises_ids && program_may_gain())) {
        return true;
    }
    /* For ids that differ already, too (security/commoncap.c, cap_bprm_creds_from_file). */
    return program_ids_differ();
}

bool program_ids_differ(void) {
    return SYSCALL0(__NR_getuid) != SYSCALL0(__NR_geteuid) || SYSCALL0(__NR_getgid) != SYSCALL0(__NR_getegid);
}

bool program_may_gain(void) {
    return SYSCALL5(__NR_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
}

bool program_can_load(const char *library) {
    struct statfs filesystem;
    return SYSCALL3(__NR_faccessat, AT_FDCWD, library, READ) == 0 &&
           SYSCALL2(__NR_statfs, library, &filesystem) == 0 && (filesystem.f_flags & MOUNTED_NOEXEC) == 0;
}
