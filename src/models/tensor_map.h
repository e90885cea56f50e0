// Which tensor of a checkpoint goes into which slot of a model.
//
// Every tensor must match one rule of the family, or one of its patterns of unused tensors; every
// rule must find its tensor, unless its need says otherwise; shapes follow from the geometry.
// Whatever does not fit is an error that names the tensor.
#ifndef VIDETTE_MODELS_TENSOR_MAP_H
#define VIDETTE_MODELS_TENSOR_MAP_H

#include "models/checkpoint.h"
#include "models/family.h"

struct tensor_map {
    const struct tensor **model;  // (MODEL_SLOTS), NULL where there is none
    const struct tensor **blocks; // (blocks, BLOCK_SLOTS), from SLOT_NORM1_WEIGHT on
    bool timm_names;              // "blocks.0..." was seen
    struct tensor *shapes;        // of an empty map, one a slot; NULL otherwise
};

// Sets geometry->labels from the classifier where the config names none. The views are the
// checkpoint's.
int tensor_map_open(struct tensor_map *map, struct memory *memory, struct geometry *geometry,
                    const struct family *family, const struct checkpoint *checkpoint,
                    vdt_error *error);

// The map that a geometry with random weights has: what is needed, and a classifier if it has
// labels. Its tensors have shapes and no data.
int tensor_map_open_empty(struct tensor_map *map, struct memory *memory,
                          const struct geometry *geometry, const struct family *family,
                          vdt_error *error);
void tensor_map_close(struct tensor_map *map, struct memory *memory);

// The tensor of a slot, NULL where there is none. `block` counts only for slots of blocks.
const struct tensor *tensor_map_find(const struct tensor_map *map, enum slot slot, size_t block);

// The first name of a slot's tensor with prefix and block number, for messages.
void tensor_map_name(char *text, size_t text_bytes, const struct family *family,
                     const struct geometry *geometry, enum slot slot, size_t block);

// The positions' table: rows of the prefix before those of the patches.
size_t geometry_position_rows(const struct geometry *geometry);

#endif
