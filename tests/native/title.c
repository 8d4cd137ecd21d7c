/* Shows titles as servers do, in the room of arguments and environment. The first argument says how that room is found:
 *
 * - "sum": all strings of the environment are added up, wherever they are (uWSGI, --auto-procname);
 * - "back": the arguments are looked for in front of the first string of the environment (py-setproctitle);
 * - "adjoining": strings count for as long as each begins where the one before has ended (nginx, PostgreSQL).
 *
 * Prints how much room was found. The secrets must be whole after it is written over; the initial environment is
 * copied before, as all of them do. With a third argument a program of that name is started in the end. */
#include "check.h"

static size_t sum(char **argv) {
    size_t room = 0;
    for (; *argv != NULL; argv++) {
        room += strlen(*argv) + 1;
    }
    for (char **entry = environ; *entry != NULL; entry++) {
        room += strlen(*entry) + 1;
    }
    return room;
}

static size_t back(int argc, char **argv) {
    const char *at = environ[0];
    for (int i = argc - 1; i >= 0; i--) {
        at -= strlen(argv[i]) + 1;
        CHECK(same(at, argv[i]));
    }
    CHECK(at == argv[0]);
    return (size_t)(environ[0] - at);
}

static size_t adjoining(char **argv) {
    const char *end = argv[0];
    for (; *argv != NULL && *argv == end; argv++) {
        end += strlen(*argv) + 1;
    }
    const char *begin = end;
    for (char **entry = environ; *entry != NULL; entry++) {
        if (*entry == end) {
            end += strlen(*entry) + 1;
        }
    }
    CHECK(end > begin);
    return (size_t)(end - begin);
}

int main(int argc, char **argv) {
    CHECK(argc >= 2);
    char method = argv[1][0];
    char *program = argc > 2 ? strdup(argv[2]) : NULL;
    char *sought = argc > 2 ? strdup(argv[1]) : NULL;
    size_t room = method == 's' ? sum(argv) : method == 'b' ? back(argc, argv) : adjoining(argv);
    char *begin = argv[0];
    size_t count = 0;
    while (environ[count] != NULL) {
        count++;
    }
    char **copy = calloc(count + 1, sizeof *copy);
    for (size_t i = 0; i < count; i++) {
        copy[i] = strdup(environ[i]);
    }
    environ = copy;
    const char *value = getenv("SECRET");
    size_t length = value == NULL ? 0 : strlen(value);
    memset(begin, ' ', room - 1);
    strcpy(begin, "server: master");
    CHECK(value == NULL ? length == 0 : strlen(value) == length && strspn(value, "A") == length);
    printf("room for a title, secret of %zu\n", length);
    fflush(stdout);
    if (program != NULL) {
        execl(program, program, sought, (char *)NULL);
        return 1;
    }
    return 0;
}
