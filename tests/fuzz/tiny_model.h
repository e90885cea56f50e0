// A geometry of every family so small that its weights fit a few kilobytes: what fuzz_safetensors
// opens files as, and what make_corpus writes.
#ifndef VIDETTE_TESTS_TINY_MODEL_H
#define VIDETTE_TESTS_TINY_MODEL_H

#include "models/family.h"

enum { TINY_VARIANTS = 10 }; // the families, and those with a gated MLP once more

// Fills the geometry of variant < TINY_VARIANTS; returns its family.
const struct family *tiny_model(struct geometry *geometry, size_t variant);

#endif
