// A view of numbers as a file stores them: type, shape, bytes. The view owns nothing.
#ifndef VIDETTE_CORE_TENSOR_H
#define VIDETTE_CORE_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TENSOR_DIMENSIONS = 8 };

enum dtype { DTYPE_OTHER = 0, DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_F64 };

struct tensor {
    const unsigned char *data; // little-endian, may be misaligned
    enum dtype dtype;          // DTYPE_OTHER: integers and types that no model reads
    size_t element_bytes;
    size_t n_dimensions; // 0..TENSOR_DIMENSIONS
    size_t shape[TENSOR_DIMENSIONS];
    size_t count; // product of shape; count * element_bytes fits size_t
};

// Writes elements [begin, begin + n) as f32. f64 is rounded; the other types convert exactly. dtype
// != OTHER.
void tensor_to_f32(float *out, const struct tensor *tensor, size_t begin, size_t n);

// "(768, 3, 2, 16, 16)" into `text`, cut to fit.
void tensor_shape_text(char *text, size_t text_bytes, const size_t *shape, size_t n_dimensions);

// Whether all n values are finite.
bool tensor_is_finite(const float *values, size_t n);

#endif
