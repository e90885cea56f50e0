// The most probable classes of a result, as text or JSON.
#ifndef VIDETTE_TOOLS_TOP_CLASSES_H
#define VIDETTE_TOOLS_TOP_CLASSES_H

#include <vidette/vidette.h>

#include "json_out.h"

// Prints the `top` most probable of n classes: a line each on `file`, or (json not NULL) objects. probabilities
// (n) are softmaxed already and are used up.
void print_top_classes(struct json_out *json, FILE *file, const vdt_model *model,
                       float *probabilities, size_t n, size_t top);

#endif
