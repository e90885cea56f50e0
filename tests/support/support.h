// What tests share: seeded random numbers, exact-size blocks, error measures, reference files.
#ifndef VIDETTE_TESTS_SUPPORT_H
#define VIDETTE_TESTS_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/io.h"
#include "core/mem.h"
#include "format/safetensors.h"

// cmocka wants these before itself.
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

// Fails the test with the error's message where the status is not 0.
void require(vdt_status status, const vdt_error *error);

/* ---- random -------------------------------------------------------------------------------- */

struct random {
    uint64_t state; // not 0
};

uint64_t random_bits(struct random *random);
size_t random_size(struct random *random, size_t min, size_t max); // inclusive
float random_float(struct random *random, float min, float max);
void random_floats(struct random *random, float *values, size_t n, float min, float max);
void random_bytes(struct random *random, uint8_t *bytes, size_t n);

/* ---- memory -------------------------------------------------------------------------------- */

// The C library's allocator.
struct memory *test_memory(void);

// Blocks of exactly n items, so that a sanitizer sees any access outside; exits where memory is
// out.
float *make_floats(size_t n);
uint8_t *make_bytes(size_t n);

/* ---- measures ------------------------------------------------------------------------------ */

// max |a - b| / max |b|; infinite where anything is NaN.
double relative_error(const float *a, const float *b, size_t n);

// The smallest cosine of rows (rows, d) of a and b.
double smallest_cosine(const float *a, const float *b, size_t rows, size_t d);

// FNV-1a over bytes, going on from `hash` (start with FNV_START).
#define FNV_START 0xcbf29ce484222325u
uint64_t fnv1a(uint64_t hash, const uint8_t *bytes, size_t n);

/* ---- reference files ----------------------------------------------------------------------- */

// "SOURCE_DIRECTORY/relative" in a static buffer of its own for each call, at most 8 at a time.
const char *source_path(const char *relative);

// A safetensors file of f32 tensors, mapped.
struct reference {
    struct mapping mapping;
    struct safetensors file;
};

void reference_open(struct reference *reference, const char *path);
void reference_close(struct reference *reference);

// The tensor's values, or NULL where there is none; *count its numbers.
const float *reference_find(const struct reference *reference, const char *name, size_t *count);

#endif
