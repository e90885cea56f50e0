// The safetensors format: named tensors in one file.
//
//     | u64 n, little-endian | n bytes of JSON {name: {dtype, shape, data_offsets}} | data |
//
// Nothing in the header is believed: its length (at most 100 MB), every offset, every product of a
// shape, and that no two tensors share bytes or a name are checked before a view is handed out.
// Views point into the caller's bytes.
#ifndef VIDETTE_FORMAT_SAFETENSORS_H
#define VIDETTE_FORMAT_SAFETENSORS_H

#include "core/mem.h"
#include "core/tensor.h"

struct safetensors_entry {
    const char *name;
    struct tensor tensor;
};

struct safetensors {
    struct memory *memory;
    struct json_value *header;         // owns the names
    struct safetensors_entry *entries; // (n), in the order of the header
    size_t n;
};

// Parses a whole file of `bytes` bytes; `name` is what messages call it. On failure nothing is
// kept.
int safetensors_parse(struct safetensors *file, struct memory *memory, const unsigned char *data,
                      size_t bytes, const char *name, vdt_error *error);
void safetensors_free(struct safetensors *file);

#endif
