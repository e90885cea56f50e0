// What a Hugging Face image or video processor does to a frame, read from its config.
//
//     bytes -> resize (Pillow's filters, on bytes) -> centre crop -> rescale -> normalise -> f32
//
// Processors are rows of a table of defaults by class name; the fields of the file come over them.
// This file knows sizes and constants; src/video does the work.
#ifndef VIDETTE_FORMAT_HFPROCESSOR_H
#define VIDETTE_FORMAT_HFPROCESSOR_H

#include "format/hfconfig.h"

// Pillow's numbers.
enum resample {
    RESAMPLE_NEAREST = 0,
    RESAMPLE_LANCZOS = 1,
    RESAMPLE_BILINEAR = 2,
    RESAMPLE_BICUBIC = 3
};

enum resize_mode {
    RESIZE_NONE,          // frames keep their size
    RESIZE_EXACT,         // to (height, width)
    RESIZE_SHORTEST_EDGE, // the shorter side to `height`, the longer to int(height * long / short)
};

struct processor {
    enum resize_mode resize;
    size_t height, width; // of the resize; SHORTEST_EDGE: both the edge
    enum resample resample;
    bool crop;
    size_t crop_height, crop_width;
    bool crop_rounds;       // an odd margin is halved to the even number (torchvision), not down
    double scale;           // bytes are multiplied by this, 1 where nothing is rescaled
    bool offset;            // ViViT: then 1 is subtracted
    double mean[3], std[3]; // 0 and 1 where nothing is normalised
};

// Defaults of the class that `name` ("VideoMAEImageProcessor", "ViTImageProcessorFast",
// "CLIPFeatureExtractor") names; false where no row matches.
bool processor_defaults(struct processor *processor, const char *name);

// Reads the fields of `config` over the defaults of the class it names, or of `family_class`.
int processor_parse(struct processor *processor, struct config *config, const char *family_class);

// Reads three numbers (or one for all) each under the keys `mean` and `std`.
void processor_parse_normalisation(struct processor *processor, struct config *config,
                                   const char *mean, const char *std);

// The size of every frame after resize and crop, if it does not depend on the input.
bool processor_output_size(const struct processor *processor, size_t *height, size_t *width);

// Makes the processor produce (height, width): an exact resize becomes that size, a resize of the
// shortest edge keeps its ratio to the crop.
void processor_set_size(struct processor *processor, size_t height, size_t width);

// The size a frame is resized to before the crop.
void processor_resized_size(const struct processor *processor, size_t in_height, size_t in_width,
                            size_t *height, size_t *width);

// table[c][b] = the f32 value of byte b in channel c, with the roundings of the reference:
// f32((double)b * scale) [- 1], then (x - f32(mean)) / f32(std) in f32.
void processor_values(const struct processor *processor, float table[3][256]);

#endif
