/* Telling Go programs from others. */
#ifndef STRONGROOM_GO_H
#define STRONGROOM_GO_H

#include <stdbool.h>

/* Whether the program that runs in this process was built by the Go toolchain, which marks its programs with a note. Go
 * starts programs by raw system calls, also where it uses the C library for everything else. */
bool go_made_this_program(void);

#endif
