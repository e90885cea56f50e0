// How numbers stand in the operands of a matrix product. They are moved in lanes of 32 bits: one f32,
// two bf16 or four int8. An encoded row of k numbers is its lanes, the last one padded with zeros; an
// int8 row goes on with two more: its scale as f32, so that x_i is about q_i * scale, and a 32-bit integer,
// -128 times the sum of its numbers. One of a product's operands holds q + 128, unsigned (kernels.h).
//
//     f32   | x0 | x1 | x2 | ...             bf16  | x0 x1 | x2 x3 | ...
//     int8  | q0 q1 q2 q3 | q4 .. 0 0 | scale | -128 sum q |
#ifndef VIDETTE_KERNELS_FORMAT_H
#define VIDETTE_KERNELS_FORMAT_H

#include <stddef.h>
#include <string.h>

enum format { FORMAT_F32, FORMAT_BF16, FORMAT_I8, FORMATS };

enum { LANE_BYTES = 4 };

// Bytes of a number.
static inline size_t format_bytes(enum format format) {
    return format == FORMAT_F32 ? 4 : format == FORMAT_BF16 ? 2 : 1;
}

static inline size_t format_lanes(enum format format, size_t k) {
    const size_t group = LANE_BYTES / format_bytes(format);
    return (k + group - 1) / group;
}

// Lanes of an encoded row.
static inline size_t format_row_lanes(enum format format, size_t k) {
    return format_lanes(format, k) + (format == FORMAT_I8 ? 2 : 0);
}

static inline size_t format_row_bytes(enum format format, size_t k) {
    return LANE_BYTES * format_row_lanes(format, k);
}

// The scale of an int8 row of k numbers.
static inline float format_scale(const void *row, size_t k) {
    float scale;
    memcpy(&scale, (const unsigned char *)row + LANE_BYTES * format_lanes(FORMAT_I8, k),
           sizeof scale);
    return scale;
}

#endif
