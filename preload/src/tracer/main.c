/* strongroom-tracer: starts a program that ignores the library, and gives it its secrets all the same.
 *
 * The library hands over to it in place of such a program (src/library/delivery.h), with placeholders and
 * STRONGROOM_REGION in the environment, and with the words of src/shared/tracer_words.h. The tracer has a child of its
 * own trace it, and executes the program: so the program is the process that its parent started. The child has it map its
 * secrets and points its placeholders there (attend.h), and is gone before its first instruction.
 *
 * Static and without a libc. What cannot have its secrets does not start: status 120 and one line.
 */
#include <linux/futex.h>
#include <linux/wait.h>

#include "../shared/bytes.h"
#include "../shared/environment.h"
#include "../shared/fail.h"
#include "../shared/program.h"
#include "attend.h"
#include "look.h"
#include "tracee.h"

enum {
    ATTACH_TICKS = 200, /* of TICK_NS: 10 s, for a seizure that takes microseconds */
    TICK_NS = 50 * 1000 * 1000,
};

/* Shared by the process and its tracer. */
struct meeting {
    int state; /* BEGUN, ALLOWED, ATTACHED, or a negative errno value */
};
enum { BEGUN, ALLOWED, ATTACHED };

static const struct __kernel_timespec TICK = {0, TICK_NS};

static void set_state(struct meeting *meeting, int state) {
    __atomic_store_n(&meeting->state, state, __ATOMIC_RELEASE);
    SYSCALL3(__NR_futex, &meeting->state, FUTEX_WAKE, 1);
}

/* Waits a tick at most for another state than `state`; returns the one there is. */
static int wait_state(struct meeting *meeting, int state) {
    SYSCALL4(__NR_futex, &meeting->state, FUTEX_WAIT, state, &TICK);
    return __atomic_load_n(&meeting->state, __ATOMIC_ACQUIRE);
}

/* The number behind `field` in a file of /proc; 0 when it is not there. */
static unsigned number_in(const char *path, const char *field) {
    char text[4096];
    long fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    long length = fd < 0 ? fd : sys_read((int)fd, text, sizeof text - 1);
    sys_close((int)fd);
    if (length <= 0) {
        return 0;
    }
    text[length] = '\0';
    const char *at = text;
    while (*at != '\0' && !text_starts_with(at, field)) {
        at++;
    }
    at += *at == '\0' ? 0 : text_length(field);
    while (*at == '\t') {
        at++;
    }
    unsigned number = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        number = number * 10 + (unsigned)(*at - '0');
    }
    return number;
}

/* Says why it could not be traced. */
__attribute__((noreturn)) static void refuse(const char *program, long error) {
    if (number_in("/proc/self/status", "TracerPid:") != 0) {
        fail(program, "loads no library, and its secrets need ptrace, but another process traces it already; start it "
                      "without a debugger or strace");
    }
    if (number_in("/proc/sys/kernel/yama/ptrace_scope", "") >= 2) {
        fail(program, "loads no library, and its secrets need ptrace, which kernel.yama.ptrace_scope forbids; set it "
                      "to 1 or 0, or use a dynamically linked build");
    }
    fail_call(program, "loads no library, and its secrets need ptrace, process_vm_readv and process_vm_writev; allow "
                       "them in the seccomp profile, or use a dynamically linked build: ", error);
}

/* The tracer. All signals are blocked: one that is meant for the whole group must not end it before its work is done. */
__attribute__((noreturn)) static void trace(int pid, struct meeting *meeting, const struct orders *orders) {
    sys_set_dumpable(0); /* anyone who controls the tracer controls the traced */
    while (wait_state(meeting, BEGUN) == BEGUN) {
        if (SYSCALL0(__NR_getppid) != pid) {
            sys_exit_group(0);
        }
    }
    long result = tracee_seize(pid);
    set_state(meeting, result < 0 ? (int)result : ATTACHED);
    if (result < 0) {
        sys_exit_group(0);
    }
    attend(pid, orders);
}

/* Has a new child trace this process. It ends when this process does, and the other way round. */
static void start_tracer(const struct orders *orders) {
    struct meeting *meeting = sys_mmap(sizeof *meeting, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
    if (is_map_error(meeting)) {
        fail_call(orders->program, "memory for its start: ", (long)meeting);
    }
    int pid = (int)SYSCALL0(__NR_getpid);
    long child = SYSCALL5(__NR_clone, SIGCHLD, 0, 0, 0, 0);
    if (child < 0) {
        fail_call(orders->program, "a process for its start (the limit on processes must leave room for one): ", child);
    }
    if (child == 0) {
        trace(pid, meeting, orders);
    }
    SYSCALL5(__NR_prctl, PR_SET_PTRACER, child, 0, 0, 0); /* where Yama wants it; elsewhere an error without meaning */
    set_state(meeting, ALLOWED);
    int state = ALLOWED;
    long ended = 0;
    for (int tick = 0; state == ALLOWED && ended == 0 && tick < ATTACH_TICKS; tick++) {
        state = wait_state(meeting, ALLOWED);
        if (state == ALLOWED) {
            ended = SYSCALL4(__NR_wait4, child, NULL, WNOHANG | __WALL, NULL);
        }
    }
    if (state != ATTACHED) {
        if (ended == 0) {
            SYSCALL2(__NR_kill, child, SIGKILL);
            SYSCALL4(__NR_wait4, child, NULL, __WALL, NULL);
        }
        refuse(orders->program, state == ALLOWED ? -EPERM : state);
    }
}

static bool is_ignored(int signal_number) {
    struct {
        void *handler;
        unsigned long rest[3];
    } action;
    SYSCALL4(__NR_rt_sigaction, signal_number, NULL, &action, sizeof(kernel_sigset));
    return action.handler == (void *)1; /* SIG_IGN */
}

/* Fills in what the code before the entry point has to do about signals. `mask` is what was blocked before us. */
static void plan_signals(struct orders *orders, kernel_sigset mask) {
    kernel_sigset pending = 0;
    SYSCALL2(__NR_rt_sigpending, &pending, sizeof pending);
    orders->mask = mask;
    orders->fatal = 0;
    if (SYSCALL0(__NR_getpid) == 1) { /* for others they are not lost, but end the program as they would without us */
        orders->fatal |= is_ignored(SIGTERM) ? 0 : signal_bit(SIGTERM);
        orders->fatal |= is_ignored(SIGINT) ? 0 : signal_bit(SIGINT);
        orders->fatal &= ~mask;
    }
    /* A blocked SIGCHLD stays pending. If it is so already, then for a child that is not ours. */
    orders->consumed = signal_bit(SIGCHLD) & mask & ~pending;
}

/* Ends the process where the program cannot have its secrets. Returns whether it is a script. */
static bool require_native(int descriptor, const char *path) {
    struct program program;
    long result = program_look(descriptor < 0 ? AT_FDCWD : descriptor, descriptor < 0 ? path : "", &program);
    if (result < 0) {
        fail_call(path, "looking at it: ", result);
    }
    if (program.kind == PROGRAM_FOREIGN) {
        fail(path, "is not a program of this machine and its word size, and only those can have secrets; use a native "
                   "build, or keep it from having them with --children allow:NAME");
    }
    if (program.kind == PROGRAM_UNREADABLE) {
        fail(path, "cannot be read, so there is no telling how to deliver secrets to it; make it readable for the user "
                   "it runs as");
    }
    return program.is_script;
}

static bool stays_dumpable(char *const *envp) {
    const char *open = environment_value(envp, DUMPABLE_VARIABLE);
    if (open != NULL && !text_equal(open, "1")) {
        fail(DUMPABLE_VARIABLE, "not 1");
    }
    return open != NULL;
}

BEGIN_WITH(tracer);

__attribute__((noreturn, used)) void tracer(char **stack);

void tracer(char **stack) {
    size_t count = (size_t)stack[0];
    char **words = stack + 1;
    char **envp = words + count + 1;
    const char *text = environment_value(envp, REGION_VARIABLE);
    struct handover handover;
    if (count < 3 || text == NULL || !handover_parse(text, &handover)) {
        fail("strongroom-tracer", "is started by the library of Strongroom instead of programs that ignore it, "
                                  "not by hand");
    }
    struct start start = {parse_descriptor(words[1]), words[2], words + 3, envp};
    if (look_is_asked(words + 1, count - 1)) {
        look(words + 1, envp, &start);
    }
    const char *path = start.path;
    bool is_script = require_native(start.descriptor, path);
    if (start.descriptor >= 0 && words[1][0] != '=' && !is_script) { /* an interpreter opens a script by its descriptor */
        sys_fcntl(start.descriptor, F_SETFD, FD_CLOEXEC);
    }
    struct orders orders = {.program = path, .dumpable = stays_dumpable(envp)};
    handover_copy(&handover, &orders.copy);
    orders.region = region_open(orders.copy.memory);
    kernel_sigset all = ~(kernel_sigset)0;
    kernel_sigset mask;
    sys_sigprocmask(SIG_SETMASK, &all, &mask);
    plan_signals(&orders, mask);
    start_tracer(&orders);
    sys_set_dumpable(0);
    kernel_sigset held = mask | orders.fatal;
    sys_sigprocmask(SIG_SETMASK, &held, NULL);
    start_failed(path, start_program(&start));
}
