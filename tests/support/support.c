#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void require(vdt_status status, const vdt_error *error) {
    if (status) fail_msg("%s", error->message);
}

// Xorshift64* (Vigna 2016).
uint64_t random_bits(struct random *random) {
    uint64_t x = random->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    random->state = x;
    return x * 0x2545f4914f6cdd1du;
}

size_t random_size(struct random *random, size_t min, size_t max) {
    return min + (size_t)(random_bits(random) >> 11) % (max - min + 1);
}

float random_float(struct random *random, float min, float max) {
    const double uniform = (double)(random_bits(random) >> 11) * 0x1p-53;
    return (float)((double)min + ((double)max - (double)min) * uniform);
}

void random_floats(struct random *random, float *values, size_t n, float min, float max) {
    for (size_t i = 0; i < n; i++) values[i] = random_float(random, min, max);
}

void random_bytes(struct random *random, uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)(random_bits(random) >> 56);
}

struct memory *test_memory(void) {
    static struct memory memory;
    memory.allocator = mem_default_allocator();
    return &memory;
}

static void *make_block(size_t bytes) {
    void *block = malloc(bytes > 0 ? bytes : 1);
    if (!block) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    return block;
}

float *make_floats(size_t n) {
    return make_block(n * sizeof(float));
}

uint8_t *make_bytes(size_t n) {
    return make_block(n);
}

double relative_error(const float *a, const float *b, size_t n) {
    double difference = 0.0, largest = 0.0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(a[i]) || !isfinite(b[i])) return INFINITY;
        difference = fmax(difference, fabs((double)a[i] - (double)b[i]));
        largest = fmax(largest, fabs((double)b[i]));
    }
    return largest > 0.0 ? difference / largest : difference;
}

double smallest_cosine(const float *a, const float *b, size_t rows, size_t d) {
    double smallest = 1.0;
    for (size_t i = 0; i < rows; i++, a += d, b += d) {
        double ab = 0.0, aa = 0.0, bb = 0.0;
        for (size_t j = 0; j < d; j++) {
            ab += (double)a[j] * (double)b[j];
            aa += (double)a[j] * (double)a[j];
            bb += (double)b[j] * (double)b[j];
        }
        const double cosine = ab / sqrt(aa * bb);
        if (!(cosine >= smallest)) smallest = cosine;
    }
    return smallest;
}

uint64_t fnv1a(uint64_t hash, const uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

const char *source_path(const char *relative) {
    static char paths[8][1024];
    static size_t next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", VIDETTE_SOURCE_DIR, relative);
    return path;
}

void reference_open(struct reference *reference, const char *path) {
    vdt_error error = {0};
    *reference = (struct reference){0};
    if (io_map(&reference->mapping, path, &error) ||
        safetensors_parse(&reference->file, test_memory(), reference->mapping.data,
                          reference->mapping.bytes, path, &error)) {
        fail_msg("%s", error.message);
    }
}

void reference_close(struct reference *reference) {
    safetensors_free(&reference->file);
    io_unmap(&reference->mapping);
}

const float *reference_find(const struct reference *reference, const char *name, size_t *count) {
    for (size_t i = 0; i < reference->file.n; i++) {
        const struct safetensors_entry *entry = &reference->file.entries[i];
        if (strcmp(entry->name, name) != 0) continue;
        assert_int_equal(entry->tensor.dtype, DTYPE_F32);
        assert_int_equal((uintptr_t)entry->tensor.data % sizeof(float), 0);
        *count = entry->tensor.count;
        return (const float *)(const void *)entry->tensor.data;
    }
    return NULL;
}
