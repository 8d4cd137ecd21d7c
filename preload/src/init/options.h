/* The command line of strongroom-init. */
#ifndef STRONGROOM_INIT_OPTIONS_H
#define STRONGROOM_INIT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "signals.h"

enum { STATUSES = 256, USAGE_STATUS = 111 }; /* 111: as the wrapper ends when a setting is wrong */

struct options {
    bool to_group;               /* -g: signals go to the child's process group */
    bool is_verbose;             /* -v */
    uint8_t remap[STATUSES];     /* the status to end with, by the status of the child */
    int64_t stop_timeout_ms;     /* 0: never kill */
    signal_set stop_signals;     /* those that start the stop timeout */
    int parent_death_signal;     /* 0: none */
    char **command;              /* NULL-terminated, not empty */
};

/* Reads the command line. On an error writes lines about it and returns false. `--help` is answered here too: then
 * `command` is NULL and the result true. */
bool options_read(struct options *options, char **argv);

#endif
