/* How the library tells strongroom-tracer what to start.
 *
 *     strongroom-tracer DESCRIPTOR PATH ARG...                            a program that was looked at
 *     strongroom-tracer look REPORT DESCRIPTOR - PATH ARG...              one that the tracer has to look at
 *     strongroom-tracer search REPORT DESCRIPTOR DIRECTORIES NAME ARG...  one that it has to search for, too
 *
 * `search-gnu` is the same, but as glibc does it (target.h).
 *
 * DESCRIPTOR is `-`, or the number of one that leads to the program; in the first form behind `=` if the program is to find
 * it open, in the others it counts only where the path leads nowhere, or to the tracer. REPORT is the number of a pipe that
 * takes one `int`: 0 when the program is about to start, or the negative errno value that the caller shall have.
 */
#ifndef STRONGROOM_TRACER_WORDS_H
#define STRONGROOM_TRACER_WORDS_H

#define LOOK_WORD "look"
#define SEARCH_WORD "search"
#define SEARCH_GNU_WORD "search-gnu"

enum { LOOK_WORDS = 6 }; /* from the name of the tracer to that of the program */

#endif
