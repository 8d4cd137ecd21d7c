#include "handover.h"

#include "bytes.h"
#include "fail.h"
#include "region.h"
#include "syscalls.h"

enum {
    LOWEST_FD = 100,
    FD_DIGITS_MAX = 7,
    COPY_ATTEMPTS = 16,
#ifdef __x86_64__
    WINDOW_BYTES = 16 * 1024,
#else
    WINDOW_BYTES = 64 * 1024, /* the largest page that Linux can be built with */
#endif
};

static const struct {
    enum rung rung;
    const char *prefix;
} RUNGS[] = {
    {RUNG_MEMFD_SECRET, "memfd-secret:"},
    {RUNG_LOCKED, "locked:"},
    {RUNG_ANY, "any:"},
};

bool handover_parse(const char *text, struct handover *handover) {
    for (size_t i = 0; i < sizeof RUNGS / sizeof RUNGS[0]; i++) {
        if (!text_starts_with(text, RUNGS[i].prefix)) {
            continue;
        }
        const char *digits = text + text_length(RUNGS[i].prefix);
        int fd = 0;
        size_t count = 0;
        for (; digits[count] >= '0' && digits[count] <= '9' && count < FD_DIGITS_MAX; count++) {
            fd = fd * 10 + (digits[count] - '0');
        }
        *handover = (struct handover){RUNGS[i].rung, fd};
        return digits[count] == '\0' && digits[0] != '0' && fd >= LOWEST_FD;
    }
    return false;
}

/* Where the descriptor begins in a text that was parsed. */
static char *descriptor_of(const char *text) {
    while (*text != ':') {
        text++;
    }
    return (char *)(uintptr_t)text + 1;
}

bool handover_is_retired(const char *text) {
    for (size_t i = 0; i < sizeof RUNGS / sizeof RUNGS[0]; i++) {
        if (text_starts_with(text, RUNGS[i].prefix)) {
            const char *at = descriptor_of(text);
            while (*at == '-') {
                at++;
            }
            return *at == '\0' && at[-1] == '-';
        }
    }
    return false;
}

void handover_retire(const struct handover *handover, char *text) {
    sys_close(handover->fd);
    for (char *at = descriptor_of(text); *at != '\0'; at++) {
        *at = '-';
    }
}

/* The size of the image in the descriptor, which must be of the kind that the rung promises. */
static size_t image_bytes(const struct handover *handover) {
    struct stat status;
    long result = sys_fstat(handover->fd, &status);
    if (result < 0) {
        fail_call(REGION_VARIABLE, "the descriptor: ", result);
    }
    if (handover->rung == RUNG_MEMFD_SECRET) {
        struct statfs kind;
        result = sys_fstatfs(handover->fd, &kind);
        if (result < 0 || kind.f_type != SECRETMEM_MAGIC) {
            fail(REGION_VARIABLE, "the descriptor is not secret memory, as its rung says");
        }
    }
    if (status.st_size < REGION_HEADER_BYTES) {
        fail("region", "rule 1: shorter than a header");
    }
    if (status.st_size > REGION_MAX_BYTES) {
        fail("region", "rule 2: total size is not a multiple of 8 or above the limit");
    }
    return (size_t)status.st_size;
}

/* Fresh secret memory that only this mapping leads to. Returns what failed, and in *result how; NULL when nothing did. */
static const char *fresh_secret(size_t length, void **memory, long *result) {
    long fd = *result = sys_memfd_secret(O_CLOEXEC);
    if (fd < 0) {
        return "memfd_secret: ";
    }
    *result = sys_ftruncate((int)fd, length);
    if (*result < 0) {
        sys_close((int)fd);
        return "sizing secret memory: ";
    }
    *memory = sys_mmap(length, PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd);
    sys_close((int)fd);
    if (is_map_error(*memory)) {
        *result = (long)*memory;
        return "mapping secret memory: ";
    }
    return NULL;
}

static void *map_secret(size_t length) {
    void *memory;
    long result;
    const char *failed = fresh_secret(length, &memory, &result);
    if (failed != NULL) {
        fail_call("region", failed, result);
    }
    return memory;
}

bool handover_separate(char *base, size_t length) {
    void *copy;
    long result;
    if (fresh_secret(length, &copy, &result) != NULL) {
        return false;
    }
    bytes_copy(copy, base, length);
    if (is_map_error(sys_mremap_to(copy, length, base))) {
        sys_munmap(copy, length);
        return false;
    }
    return true;
}

/* Fresh anonymous memory, kept out of swap and core dumps; `insist` makes a failure to do so the end. */
static void *map_anonymous(size_t length, bool insist) {
    void *memory = sys_mmap(length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (is_map_error(memory)) {
        fail_call("region", "mapping memory: ", (long)memory);
    }
    long result = sys_mlock(memory, length);
    if (result < 0 && insist) {
        fail_call("region", "mlock: ", result);
    }
    result = sys_madvise(memory, length, MADV_DONTDUMP);
    if (result < 0 && insist) {
        fail_call("region", "madvise DONTDUMP: ", result);
    }
    return memory;
}

/* Copies the image window by window: both as a whole would count twice against RLIMIT_MEMLOCK. */
static void copy_image(int fd, char *copy, size_t length) {
    for (size_t offset = 0; offset < length; offset += WINDOW_BYTES) {
        size_t bytes = length - offset < WINDOW_BYTES ? length - offset : WINDOW_BYTES;
        void *window = sys_mmap_from(bytes, PROT_READ, MAP_SHARED, fd, offset);
        if (is_map_error(window)) {
            fail_call(REGION_VARIABLE, "mapping the descriptor: ", (long)window);
        }
        bytes_copy(copy + offset, window, bytes);
        sys_munmap(window, bytes);
    }
}

/* Fills `copy` with the image. Checked after copying, so that what was checked is what is used, whatever happens to the
 * original meanwhile. A change in the moment of copying may leave half of itself in the copy; there is not another one
 * soon. */
static void copy_checked(int fd, char *copy, size_t length) {
    const char *broken = NULL;
    for (int attempt = 0; attempt < COPY_ATTEMPTS; attempt++) {
        copy_image(fd, copy, length);
        broken = region_check(copy, length);
        if (broken == NULL) {
            return;
        }
    }
    fail("region", broken);
}

void *handover_take(const struct handover *handover, size_t *length) {
    *length = image_bytes(handover);
    void *copy = handover->rung == RUNG_MEMFD_SECRET ? map_secret(*length)
                                                     : map_anonymous(*length, handover->rung == RUNG_LOCKED);
    copy_checked(handover->fd, copy, *length);
    return copy;
}

void handover_copy(const struct handover *handover, struct shared *copy) {
    long result = handover_make(handover->rung, image_bytes(handover), copy);
    if (result < 0) {
        fail_call("region", "memory for a copy: ", result);
    }
    copy_checked(handover->fd, copy->memory, copy->length);
    result = sys_fcntl(copy->fd, F_DUPFD, LOWEST_FD);
    if (result < 0) { /* EINVAL: the limit of open files lies below the lowest number */
        fail_call("region", "a descriptor from 100 on: ", result == -EINVAL ? -EMFILE : result);
    }
    sys_close(copy->fd);
    copy->fd = (int)result;
}

struct live_image handover_watch(const struct handover *handover, size_t length) {
    const char *base = sys_mmap(length, PROT_READ, MAP_SHARED, handover->fd);
    if (is_map_error(base)) {
        fail_call(REGION_VARIABLE, "mapping the descriptor: ", (long)base);
    }
    return (struct live_image){base, length};
}

long handover_make(enum rung rung, size_t length, struct shared *shared) {
    if (length == 0) {
        return -E2BIG;
    }
    long fd = rung == RUNG_MEMFD_SECRET ? sys_memfd_secret(O_CLOEXEC)
                                        : sys_memfd_create("strongroom", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return fd;
    }
    long result = sys_ftruncate((int)fd, length);
    if (result < 0) {
        sys_close((int)fd);
        return result;
    }
    void *memory = sys_mmap(length, PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd);
    if (is_map_error(memory)) {
        sys_close((int)fd);
        return (long)memory;
    }
    *shared = (struct shared){rung, (int)fd, memory, length};
    return 0;
}

long handover_finish(struct shared *shared) {
    sys_munmap(shared->memory, shared->length);
    long result = 0;
    if (shared->rung != RUNG_MEMFD_SECRET) {
        result = sys_fcntl(shared->fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    }
    if (result >= 0) {
        result = sys_fcntl(shared->fd, F_DUPFD, LOWEST_FD);
        if (result == -EINVAL) {
            result = -EMFILE; /* the limit of open files lies below the lowest number that is taken */
        }
    }
    sys_close(shared->fd);
    return result;
}

void handover_drop(struct shared *shared) {
    sys_munmap(shared->memory, shared->length);
    sys_close(shared->fd);
}

void handover_print(char *text, enum rung rung, int fd) {
    char *at = bytes_copy(text, REGION_VARIABLE "=", sizeof REGION_VARIABLE);
    at = bytes_copy(at, RUNGS[rung].prefix, text_length(RUNGS[rung].prefix));
    text_number(at, (unsigned)fd);
}
