/* Looking at a program instead of the library, which could not: only this process has the directory, descriptors and
 * user that the program is started with. */
#ifndef STRONGROOM_TRACER_LOOK_H
#define STRONGROOM_TRACER_LOOK_H

#include <stdbool.h>
#include <stddef.h>

/* What is to be executed: the path, or for a descriptor of 0 or above the file that it leads to. */
struct start {
    int descriptor;
    const char *path;
    char *const *argv;
    char *const *envp;
};

/* Whether these words of the command line ask for it (tracer_words.h). */
bool look_is_asked(char *const *words, size_t count);

/* Looks, and reports. Returns when the program ignores the library: `start` is filled in then. One that loads it is executed
 * from here. What cannot be executed, or may not have secrets, ends the process. */
void look(char *const *words, char *const *envp, struct start *start);

/* Executes; what comes back is an error. */
long start_program(const struct start *start);

/* Says why that failed, although the program was looked at before, and ends the process. */
__attribute__((noreturn)) void start_failed(const char *program, long result);

/* The number of a descriptor, or -1. */
int parse_descriptor(const char *text);

#endif
