/* Telling Go programs from others. */
#ifndef STRONGROOM_GO_RUNTIME_H
#define STRONGROOM_GO_RUNTIME_H

#include <stdbool.h>

/* Whether the program that runs in this process was built by the Go toolchain: it has Go's note, or, where that was left
 * out of a release build, build information at the beginning of its data, or exports what cgo needs. Go starts programs by
 * raw system calls, also where it uses the C library for everything else. Reads a few places of fixed size. */
bool go_made_this_program(void);

#endif
