/* Which programs that this one starts may have the secrets: STRONGROOM_CHILDREN. */
#ifndef STRONGROOM_CHILDREN_H
#define STRONGROOM_CHILDREN_H

#include <stdbool.h>

#define CHILDREN_VARIABLE "STRONGROOM_CHILDREN"

/* Whether `text` is `inherit`, `deny` or `allow:NAME,NAME...`, with at least one name and none empty. */
bool children_policy_is_legal(const char *text);

/* Whether the legal policy `text` (NULL: `inherit`) lets the program at `path` have the secrets. In a list, a name with
 * a slash stands for that very path, one without for the last part of any path. */
bool children_policy_allows(const char *text, const char *path);

#endif
