/* Values of LD_PRELOAD: lists of libraries.
 *
 * glibc takes colons and blanks between them (ld.so(8)), musl any white space. What is kept of a list is kept byte for
 * byte, so a library whose name has a tab in it, which only glibc can load, survives.
 */
#ifndef STRONGROOM_PRELOAD_LIST_H
#define STRONGROOM_PRELOAD_LIST_H

#include <stdbool.h>
#include <stddef.h>

#define PRELOAD_VARIABLE "LD_PRELOAD"

/* Where the next library of the list begins; its length in *length, 0 at the end of the list. */
const char *preload_list_next(const char *at, size_t *length);

/* Whether the list has the library of exactly this name, to one of the two loaders. */
bool preload_list_has(const char *list, const char *library);

/* Whether it has to both: beside a tab, say, the library is part of another name to glibc, which does not load it. */
bool preload_list_has_for_all(const char *list, const char *library);

/* The part of the list that is a libstrongroom.so of any directory; its length in *length, 0 when there is none. */
const char *preload_list_ours(const char *list, size_t *length);

/* Writes the list without `library`, NUL-terminated, to `to`, which has room for the whole list. Returns the length of
 * what was written: 0 when no library is left. */
size_t preload_list_without(char *to, const char *list, const char *library);

#endif
