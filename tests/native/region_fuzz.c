/* Fuzz target for the reader and the writer of region images (libFuzzer).
 *
 * Whatever is accepted must be usable: each entry is found where it is, and written anew it gives an image that is
 * accepted and holds the same. The first byte chooses how many fields that random bytes would hardly get right are put
 * in order, so that the later rules are reached. */
#include <stdlib.h>
#include <string.h>

#include "region.h"
#include "region_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition) {
    if (!condition) {
        abort();
    }
}

static void repair(unsigned char *image, size_t length) {
    struct region_header *header = (void *)image;
    memcpy(header->magic, "SRREGN1", 8);
    header->total_bytes = (uint32_t)length;
    header->generation_check = ~header->generation;
    memset(header->reserved, 0, sizeof header->reserved);
    if (header->entries <= 64) {
        header->slots = region_slots_for(header->entries);
    }
}

static void use(unsigned char *image) {
    struct region region = region_open(image);
    struct region_plan plan = {0, 0};
    for (uint32_t slot = 0; slot < region.slot_count; slot++) {
        if (region.slots[slot].offset != 0) {
            size_t name_bytes;
            require(region_find(&region, region_string(&region, slot), &name_bytes) == slot);
            require(name_bytes == region.slots[slot].name_bytes);
            region_plan_add(&plan, strlen(region_string(&region, slot)));
        }
    }
    size_t bytes = region_plan_bytes(&plan);
    void *copy = calloc(1, bytes);
    require(copy != NULL);
    struct region_writer writer = region_begin(copy, &plan, &region);
    for (uint32_t slot = 0; slot < region.slot_count; slot++) {
        if (region.slots[slot].offset != 0) {
            require(region_append(&writer, &region.slots[slot], region_string(&region, slot)));
        }
    }
    require(region_check(copy, bytes) == NULL);
    struct region again = region_open(copy);
    for (uint32_t slot = 0; slot < region.slot_count; slot++) {
        if (region.slots[slot].offset != 0) {
            size_t name_bytes;
            uint32_t found = region_find(&again, region_string(&region, slot), &name_bytes);
            require(found != REGION_NO_SLOT);
            require(strcmp(region_string(&again, found), region_string(&region, slot)) == 0);
        }
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    size_t length = size - 1;
    unsigned char *image = malloc(length + (length == 0));
    require(image != NULL);
    memcpy(image, data + 1, length);
    if ((data[0] & 1) != 0 && length >= REGION_HEADER_BYTES) {
        repair(image, length);
    }
    if (region_check(image, length) == NULL) {
        use(image);
    }
    free(image);
    return 0;
}
