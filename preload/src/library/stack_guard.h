/* Included by the compiler before each file of the library (Makefile): lets it be linked without a libc. */
#ifdef __aarch64__
__asm__(".weak __stack_chk_guard");
#endif
