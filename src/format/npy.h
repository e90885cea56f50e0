// NumPy's .npy format, as far as Vidette needs it: reading clips of bytes, writing arrays of f32.
//
//     "\x93NUMPY" | major, minor | header length (u16, from version 2 on u32) | "{'descr': ...,
//     }\n" | data
#ifndef VIDETTE_FORMAT_NPY_H
#define VIDETTE_FORMAT_NPY_H

#include "core/status.h"
#include "core/tensor.h"

// Reads a uint8 array in C order of 1 to TENSOR_DIMENSIONS dimensions; the view points into `data`.
// Any other type or order is VDT_ERROR_UNSUPPORTED.
int npy_parse_u8(struct tensor *array, const unsigned char *data, size_t bytes, const char *name,
                 vdt_error *error);

#endif
