/* The functions of the program's own libc that the library stands before.
 *
 * Found by walking the loaded objects after this library, as dlsym(RTLD_NEXT) would do it. dlsym() itself is not used:
 * before glibc 2.34 it is in a library that many programs do not load.
 */
#ifndef STRONGROOM_LIBC_H
#define STRONGROOM_LIBC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Types whose layout is the libc's own business; both libcs of Linux keep them below these sizes (glibc: 336, 80 and
 * 128 bytes, musl: 336, 80 and 128). */
union spawn_attributes {
    uint64_t align;
    char bytes[512];
};
union spawn_actions {
    uint64_t align;
    char bytes[256];
};
union signal_set {
    uint64_t first_64; /* bit n - 1 is signal n in both libcs */
    char bytes[128];
};

/* Each is NULL when the program has no libc, or a libc without it. */
struct libc {
    int *(*errno_location)(void);
    char *(*getenv)(const char *);
    const char *(*gnu_version)(void);
    int (*execve)(const char *, char *const *, char *const *);
    int (*execvpe)(const char *, char *const *, char *const *);
    int (*fexecve)(int, char *const *, char *const *);
    int (*execveat)(int, const char *, char *const *, char *const *, int);
    int (*posix_spawn)(int *, const char *, const void *, const void *, char *const *, char *const *);
    int (*posix_spawnp)(int *, const char *, const void *, const void *, char *const *, char *const *);
    int (*pidfd_spawn)(int *, const char *, const void *, const void *, char *const *, char *const *);
    int (*pidfd_spawnp)(int *, const char *, const void *, const void *, char *const *, char *const *);
    int (*actions_init)(void *);
    int (*actions_destroy)(void *);
    int (*actions_add_close)(void *, int);
    int (*actions_add_dup2)(void *, int, int);
    int (*actions_add_closefrom)(void *, int);
    int (*attributes_init)(void *);
    int (*attributes_destroy)(void *);
    int (*attributes_set_flags)(void *, short);
    int (*attributes_set_default)(void *, const void *);
    int (*attributes_set_mask)(void *, const void *);
    int (*system)(const char *);
    void *(*popen)(const char *, const char *);
    int (*pclose)(void *);
    void *(*fdopen)(int, const char *);
    int (*fclose)(void *);
    int (*wordexp)(const char *, void *, int);
};

/* Looks all of them up. Not safe in signal handlers; called once, when the library is loaded. */
void libc_find(struct libc *libc);

#endif
