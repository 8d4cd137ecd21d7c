/* Expands each of its arguments by wordexp(3) and prints what comes of it: the words, or the number of the error. */
#include <wordexp.h>

#include "check.h"

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        wordexp_t words;
        int error = wordexp(argv[i], &words, 0);
        if (error != 0) {
            printf("error %d\n", error);
            continue;
        }
        for (size_t word = 0; word < words.we_wordc; word++) {
            puts(words.we_wordv[word]);
        }
        wordfree(&words);
    }
    return 0;
}
