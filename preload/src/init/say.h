/* Lines on standard error. */
#ifndef STRONGROOM_INIT_SAY_H
#define STRONGROOM_INIT_SAY_H

#include <stddef.h>

enum { SAY_PARTS = 12, NUMBER_BYTES = 24 };

/* Writes "strongroom: ", the parts up to the first NULL and a newline, in one write so that lines of several processes
 * do not mix. At most SAY_PARTS parts; what goes beyond is left out. Allocates nothing; a failure to write is ignored. */
void say_parts(const char *const *parts);

#define SAY(...) say_parts((const char *const[]){__VA_ARGS__, NULL})

/* The number in decimal; points into `text`. */
const char *number_text(char text[NUMBER_BYTES], long number);

#endif
