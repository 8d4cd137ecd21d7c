/* A library whose constructor looks at how far the process is open to others at that moment. It does not call getenv(),
 * which would load the state of ours if that had not been done yet. */
#include <sys/prctl.h>

#include "check.h"

__attribute__((constructor)) static void look(void) {
    for (char **entry = environ; *entry != NULL; entry++) {
        if (strncmp(*entry, "STRONGROOM_REGION=", 18) == 0 &&
            (prctl(PR_GET_DUMPABLE) != 0 || strchr(*entry, ':')[1] != '-')) {
            fprintf(stderr, "open to others: dumpable %d, %s\n", prctl(PR_GET_DUMPABLE), *entry);
        }
    }
}
