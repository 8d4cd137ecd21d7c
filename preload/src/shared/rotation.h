/* Values that change while the program runs.
 *
 * An image with room behind its strings is meant to be changed in place (docs/region-format.md, "Changing a value in
 * place"), so its mapping is kept and looked at again. Readers take no lock: a slot's offset and length are one word.
 */
#ifndef STRONGROOM_ROTATION_H
#define STRONGROOM_ROTATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "region.h"

/* The image as its writer sees it, mapped for reading; base is NULL when it cannot change. */
struct live_image {
    const char *base;
    size_t bytes;
};

/* Whether the checked image has room for another value. */
bool rotation_has_room(const struct region *copy);

/* The value that the slot has now, or NULL while it is the one of `copy`, this process's own copy of the image. Strings
 * are never overwritten, so the pointer stays good after further changes. What does not hold together, which no writer of
 * ours makes, counts as no change. Safe in threads and signal handlers. */
const char *rotation_value(const struct live_image *live, const struct region *copy, uint32_t slot);

#endif
