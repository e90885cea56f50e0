// Files that a test makes: a directory of its own that is gone when the program ends.
#ifndef VIDETTE_TESTS_SCRATCH_H
#define VIDETTE_TESTS_SCRATCH_H

#include <stddef.h>
#include <stdint.h>

// "DIRECTORY/name" in a static buffer of its own for each call, at most 16 at a time. The first
// call makes the directory.
const char *scratch_path(const char *name);

// Whole files; whatever goes wrong ends the program with a message. The block that is read is as
// long as the file and the caller's to free.
void scratch_write(const char *path, const void *bytes, size_t n);
uint8_t *scratch_read(const char *path, size_t *n);

// A model directory copied: scratch_path(name) gets the files of `from`.
const char *scratch_copy_directory(const char *name, const char *from);

#endif
