/* What the compiler's stack protector asks for: where a function with arrays finds the guard overwritten when it returns,
 * it calls __stack_chk_fail().
 *
 * The guard is the libc's. On x86-64 it is in the thread's own block (fs:0x28 in glibc and musl), on aarch64 the symbol
 * __stack_chk_guard; the dynamic loader has set either before any constructor runs. A guard of our own would have to
 * change from zero while a thread that an earlier constructor has started may be in one of our functions.
 */
#include "../shared/fail.h"

__attribute__((noreturn)) void __stack_chk_fail(void);

/* The memory that a handler of the program would run on is what was overwritten, so no signal is raised. */
void __stack_chk_fail(void) {
    fail("library", "a buffer on the stack was overwritten; please report it");
}
