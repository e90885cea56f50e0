// Read-only files as bytes.
//
// A mapping shares its pages with every other process that maps the file and costs no memory of its
// own; pages that have been read once (packed weights) can be handed back. A file that shrinks
// while it is mapped faults like any mapping.
#ifndef VIDETTE_CORE_IO_H
#define VIDETTE_CORE_IO_H

#include <stdbool.h>

#include "core/status.h"

struct mapping {
    const unsigned char *data; // NULL for an empty file
    size_t bytes;
};

// Maps the regular file at `path`. Fails with VDT_ERROR_IO and the reason (missing, a directory, no
// permission).
int io_map(struct mapping *mapping, const char *path, vdt_error *error);
void io_unmap(struct mapping *mapping);

// Tells the system that the pages wholly inside [pointer, pointer + bytes) are not needed any more.
// They stay valid.
void io_release(const void *pointer, size_t bytes);

bool io_is_file(const char *path);
bool io_is_directory(const char *path);

// "DIRECTORY/NAME" into `path`. Fails where it does not fit.
int io_join(char *path, size_t path_bytes, const char *directory, const char *name,
            vdt_error *error);

// The part of `path` after its last slash, ignoring slashes at its end: offset and length.
void io_base_name(const char *path, size_t *offset, size_t *length);

#endif
