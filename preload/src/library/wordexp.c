/* wordexp(), which starts a shell from inside the libc, past any wrapper and with the environment as it is: glibc's for a
 * command in the words, musl's for all words.
 *
 * Contract: that of wordexp(3), done by the libc; but where not all children may have the secrets of `environ`, a command is
 * refused (WRDE_CMDSUB), and with musl any words are: that shell would hand on to all what it has. Where all may, it is as a
 * program that is started by a raw system call.
 */
#include "../shared/bytes.h"
#include "../shared/environment.h"
#include "export.h"
#include "child_environment.h"

EXPORT int wordexp(const char *words, void *result, int flags);

/* <wordexp.h>; the same in both libcs. */
enum { WRDE_NOCMD = 4, WRDE_CMDSUB = 4, WRDE_NOSYS = -1 };

int wordexp(const char *words, void *result, int flags) {
    const struct state *state = state_load(NULL);
    if (state == NULL || state->libc.wordexp == NULL) {
        return WRDE_NOSYS;
    }
    bool all_may = state->policy == NULL || text_equal(state->policy, "inherit");
    if (!all_may && child_environment_concerns(state, environment_now())) {
        if (state->libc.gnu_version == NULL) {
            return WRDE_CMDSUB;
        }
        flags |= WRDE_NOCMD;
    }
    return state->libc.wordexp(words, result, flags);
}
