// Arithmetic on sizes that cannot wrap: each returns false and leaves the output alone on overflow.
#ifndef VIDETTE_CORE_CHECKED_H
#define VIDETTE_CORE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>

static inline bool checked_add(size_t *sum, size_t a, size_t b) {
    size_t value;
    if (__builtin_add_overflow(a, b, &value)) return false;
    *sum = value;
    return true;
}

static inline bool checked_multiply(size_t *product, size_t a, size_t b) {
    size_t value;
    if (__builtin_mul_overflow(a, b, &value)) return false;
    *product = value;
    return true;
}

// n rounded up to a multiple of `unit` (unit > 0).
static inline bool checked_round_up(size_t *rounded, size_t n, size_t unit) {
    size_t value;
    if (!checked_add(&value, n, unit - 1)) return false;
    *rounded = value / unit * unit;
    return true;
}

static inline size_t min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

static inline size_t max_size(size_t a, size_t b) {
    return a > b ? a : b;
}

static inline size_t ceil_div(size_t n, size_t unit) {
    return n / unit + (n % unit != 0);
}

// Whole cache lines, for sizes of things that exist.
static inline size_t align64(size_t bytes) {
    return ceil_div(bytes, 64) * 64;
}

#endif
