/* Runs the library's reader on files, in a hosted build with sanitizers.
 *
 *   region_check FILE...     per file one line: "ok" or the rule that the image breaks
 *   region_check -d FILE     prints the entries of a good image: NAME, a tab, the value in hexadecimal
 *   region_check -m FILE     tries every truncation, and every other value of every byte that is not part of a value,
 *                            of an unused string or of the room; prints each change that was accepted, then the count
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "region.h"

/* Exactly as long as the file, so that AddressSanitizer sees a read of one byte too many. */
static unsigned char *read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(2);
    }
    fseek(file, 0, SEEK_END);
    *length = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(*length + (*length == 0));
    if (bytes == NULL || fread(bytes, 1, *length, file) != *length) {
        perror(path);
        exit(2);
    }
    fclose(file);
    return bytes;
}

static void check(const char *path) {
    size_t length;
    unsigned char *bytes = read_file(path, &length);
    const char *broken = region_check(bytes, length);
    printf("%s\n", broken == NULL ? "ok" : broken);
    free(bytes);
}

static void dump(const char *path) {
    size_t length;
    unsigned char *bytes = read_file(path, &length);
    if (region_check(bytes, length) != NULL) {
        exit(3);
    }
    struct region region = region_open(bytes);
    for (uint32_t slot = 0; slot < region.slot_count; slot++) {
        if (region.slots[slot].offset == 0) {
            continue;
        }
        const char *string = region_string(&region, slot);
        size_t name_bytes;
        if (region_find(&region, string, &name_bytes) != slot) {
            exit(4);
        }
        printf("%.*s\t", (int)name_bytes, string);
        for (const char *value = string + name_bytes + 1; *value != '\0'; value++) {
            printf("%02x", (unsigned char)*value);
        }
        printf("\n");
    }
    free(bytes);
}

/* Marks with 1 the bytes whose change must be noticed: all but values, strings nobody points to, and the room. */
static unsigned char *protected_bytes(unsigned char *bytes, size_t length) {
    unsigned char *marks = calloc(1, length);
    if (marks == NULL) {
        exit(2);
    }
    struct region region = region_open(bytes);
    memset(marks, 1, REGION_HEADER_BYTES + sizeof(struct region_slot) * region.slot_count);
    for (uint32_t i = 0; i < region.slot_count; i++) {
        const struct region_slot *slot = &region.slots[i];
        if (slot->offset != 0) {
            memset(marks + slot->offset, 1, slot->name_bytes + 1);
            marks[slot->offset + slot->name_bytes + 1 + slot->value_bytes] = 1;
        }
    }
    return marks;
}

static unsigned long mutate(const char *path) {
    size_t length;
    unsigned char *bytes = read_file(path, &length);
    if (region_check(bytes, length) != NULL) {
        exit(3);
    }
    unsigned long tried = 0;
    for (size_t cut = 0; cut < length; cut++) {
        unsigned char *part = malloc(cut + (cut == 0));
        if (part == NULL) {
            exit(2);
        }
        memcpy(part, bytes, cut);
        tried++;
        if (region_check(part, cut) == NULL) {
            printf("accepted: cut to %zu bytes\n", cut);
        }
        free(part);
    }
    unsigned char *marks = protected_bytes(bytes, length);
    for (size_t at = 0; at < length; at++) {
        for (unsigned value = 0; marks[at] && value < 256; value++) {
            unsigned char before = bytes[at];
            if (value != before) {
                bytes[at] = (unsigned char)value;
                tried++;
                if (region_check(bytes, length) == NULL) {
                    printf("accepted: byte %zu changed from %u to %u\n", at, before, value);
                }
                bytes[at] = before;
            }
        }
    }
    free(marks);
    free(bytes);
    return tried;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "-d") == 0) {
        dump(argv[2]);
    } else if (argc == 3 && strcmp(argv[1], "-m") == 0) {
        printf("%lu\n", mutate(argv[2]));
    } else {
        for (int i = 1; i < argc; i++) {
            check(argv[i]);
        }
    }
    return 0;
}
