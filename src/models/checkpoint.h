// The weight files of a Hugging Face directory, mapped: model.safetensors, or the shards that
// model.safetensors.index.json lists. Pickled weights are never read: a pickle is a program.
#ifndef VIDETTE_MODELS_CHECKPOINT_H
#define VIDETTE_MODELS_CHECKPOINT_H

#include "core/io.h"
#include "format/safetensors.h"

struct shard {
    char *name; // of the file, for messages
    struct mapping mapping;
    struct safetensors tensors;
};

struct checkpoint {
    struct memory *memory;
    struct shard *shards; // (n)
    size_t n;
};

int checkpoint_open(struct checkpoint *checkpoint, struct memory *memory, const char *directory,
                    vdt_error *error);
void checkpoint_close(struct checkpoint *checkpoint);

#endif
