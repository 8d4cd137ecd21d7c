/* Marks the functions that programs find in this library. */
#ifndef STRONGROOM_EXPORT_H
#define STRONGROOM_EXPORT_H

#define EXPORT __attribute__((visibility("default")))

#endif
