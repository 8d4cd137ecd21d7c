#include "options.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "say.h"

static const int64_t LONGEST_TIMEOUT_MS = (int64_t)86400 * 1000; /* a day */

static const char HELP[] =
    "usage: strongroom-init [OPTIONS] [--] COMMAND [ARG...]\n"
    "\n"
    "Run COMMAND as the only duty of PID 1: pass signals on, reap orphans, end as COMMAND ends.\n"
    "\n"
    "  -g, --signal-group             signals go to the process group of COMMAND, not to COMMAND alone\n"
    "      --remap FROM:TO[,...]      end with status TO when COMMAND ends with FROM; may be repeated\n"
    "      --stop-timeout SECONDS     SIGKILL this long after a stop signal; 0, the default, never\n"
    "      --stop-signal SIG          a signal that asks COMMAND to stop; may be repeated; default TERM\n"
    "  -p, --parent-death-signal SIG  have the kernel send SIG when the parent of strongroom-init ends\n"
    "  -v, --verbose                  tell on stderr what happens\n"
    "  -h, --help                     this text\n"
    "\n"
    "Exit status: that of COMMAND; 128+n when signal n ended it; 126 when it cannot be executed, 127 when there is no\n"
    "such command; 111 when an option is wrong.\n";

/* Digits up to `end`, at most `limit`; moves `*text` behind them. -1 when there are none or the number is larger. */
static int64_t take_number(const char **text, int64_t limit) {
    const char *at = *text;
    int64_t number = 0;
    if (*at < '0' || *at > '9') {
        return -1;
    }
    for (; *at >= '0' && *at <= '9'; at++) {
        number = number * 10 + (*at - '0');
        if (number > limit) {
            return -1;
        }
    }
    *text = at;
    return number;
}

static const char *set_group(struct options *options, const char *value) {
    (void)value;
    options->to_group = true;
    return NULL;
}

static const char *set_verbose(struct options *options, const char *value) {
    (void)value;
    options->is_verbose = true;
    return NULL;
}

static const char *add_remap(struct options *options, const char *value) {
    static const char RULE[] = "must be FROM:TO, statuses from 0 to 255; several with commas";
    for (;;) {
        int64_t from = take_number(&value, STATUSES - 1);
        if (from < 0 || *value++ != ':') {
            return RULE;
        }
        int64_t to = take_number(&value, STATUSES - 1);
        if (to < 0 || (*value != '\0' && *value != ',')) {
            return RULE;
        }
        options->remap[from] = (uint8_t)to;
        if (*value++ == '\0') {
            return NULL;
        }
    }
}

static const char *set_stop_timeout(struct options *options, const char *value) {
    static const char RULE[] = "must be a number of seconds from 0 to 86400";
    int64_t seconds = take_number(&value, LONGEST_TIMEOUT_MS / 1000);
    int64_t fraction_ms = 0;
    if (seconds < 0) {
        return RULE;
    }
    if (*value == '.') {
        int64_t digit_ms = 100;
        for (value++; *value >= '0' && *value <= '9'; value++) {
            fraction_ms += (*value - '0') * digit_ms;
            digit_ms /= 10;
        }
    }
    if (*value != '\0' || seconds * 1000 + fraction_ms > LONGEST_TIMEOUT_MS) {
        return RULE;
    }
    options->stop_timeout_ms = seconds * 1000 + fraction_ms;
    return NULL;
}

static const char *add_stop_signal(struct options *options, const char *value) {
    int number = signal_number(value);
    if (number == 0 || (signals_passed_on() & signal_bit(number)) == 0) {
        return "must be a signal that can be passed on, as TERM or 15";
    }
    options->stop_signals |= signal_bit(number);
    return NULL;
}

static const char *set_parent_death_signal(struct options *options, const char *value) {
    options->parent_death_signal = signal_number(value);
    return options->parent_death_signal == 0 ? "must be a signal, as TERM or 15" : NULL;
}

static const struct option {
    const char *name;
    char letter;
    bool has_value;
    /* Returns the rule that the value breaks, or NULL. */
    const char *(*take)(struct options *options, const char *value);
} OPTIONS[] = {
    {"--signal-group", 'g', false, set_group},
    {"--remap", '\0', true, add_remap},
    {"--stop-timeout", '\0', true, set_stop_timeout},
    {"--stop-signal", '\0', true, add_stop_signal},
    {"--parent-death-signal", 'p', true, set_parent_death_signal},
    {"--verbose", 'v', false, set_verbose},
};

enum { OPTION_COUNT = sizeof OPTIONS / sizeof OPTIONS[0] };

static const struct option *find_long(const char *word, size_t length) {
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (strlen(OPTIONS[i].name) == length && memcmp(OPTIONS[i].name, word, length) == 0) {
            return &OPTIONS[i];
        }
    }
    return NULL;
}

static const struct option *find_letter(char letter) {
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (OPTIONS[i].letter == letter) {
            return &OPTIONS[i];
        }
    }
    return NULL;
}

static bool refuse(const char *word, const char *reason) {
    SAY("error: ", word, ": ", reason);
    SAY("hint: strongroom-init --help lists the options; a command that begins with - goes after --");
    return false;
}

/* Takes one option with the value that belongs to it; `*value` is NULL when there is none. */
static bool take(struct options *options, const struct option *option, const char *word, const char *value) {
    if (option->has_value && value == NULL) {
        return refuse(word, "needs a value");
    }
    const char *rule = option->take(options, value);
    if (rule == NULL) {
        return true;
    }
    SAY("error: ", option->name, "=", value, ": ", rule);
    return false;
}

/* `--name`, `--name VALUE` or `--name=VALUE`; returns the next word to look at, or NULL after an error. */
static char **take_long(struct options *options, char **word) {
    const char *equals = strchr(*word, '=');
    const struct option *option = find_long(*word, equals != NULL ? (size_t)(equals - *word) : strlen(*word));
    if (option == NULL) {
        refuse(*word, "unknown option");
        return NULL;
    }
    if (equals != NULL) {
        if (!option->has_value) {
            refuse(*word, "takes no value");
            return NULL;
        }
        return take(options, option, *word, equals + 1) ? word + 1 : NULL;
    }
    if (!option->has_value) {
        return take(options, option, *word, NULL) ? word + 1 : NULL;
    }
    return take(options, option, *word, word[1]) ? word + 2 : NULL;
}

/* `-gv`, `-p SIG` or `-pSIG`; as above. */
static char **take_letters(struct options *options, char **word) {
    for (const char *letter = *word + 1; *letter != '\0'; letter++) {
        const struct option *option = find_letter(*letter);
        if (option == NULL) {
            refuse(*word, "unknown option");
            return NULL;
        }
        if (!option->has_value) {
            option->take(options, NULL);
        } else if (letter[1] != '\0') {
            return take(options, option, *word, letter + 1) ? word + 1 : NULL;
        } else {
            return take(options, option, *word, word[1]) ? word + 2 : NULL;
        }
    }
    return word + 1;
}

bool options_read(struct options *options, char **argv) {
    memset(options, 0, sizeof *options);
    for (int status = 0; status < STATUSES; status++) {
        options->remap[status] = (uint8_t)status;
    }
    char **word = argv[0] != NULL ? argv + 1 : argv;
    while (word != NULL && *word != NULL && (*word)[0] == '-' && (*word)[1] != '\0') {
        if (strcmp(*word, "--") == 0) {
            word++;
            break;
        }
        if (strcmp(*word, "--help") == 0 || strcmp(*word, "-h") == 0) {
            ssize_t ignored = write(STDOUT_FILENO, HELP, sizeof HELP - 1);
            (void)ignored;
            options->command = NULL;
            return true;
        }
        word = (*word)[1] == '-' ? take_long(options, word) : take_letters(options, word);
    }
    if (word == NULL) {
        return false;
    }
    if (*word == NULL) {
        SAY("error: no command given");
        SAY("hint: usage: strongroom-init [OPTIONS] [--] COMMAND [ARG...]");
        return false;
    }
    if (options->stop_signals == 0) {
        options->stop_signals = signal_bit(SIGTERM);
    }
    options->command = word;
    return true;
}
