// What tests of streams share: a model and sessions on it, scenes that change, memory that is counted.
#ifndef VIDETTE_TESTS_STREAM_BENCH_H
#define VIDETTE_TESTS_STREAM_BENCH_H

#include <stdatomic.h>

#include "support.h"

struct bench {
    vdt_context *context;
    vdt_model *model;
    size_t height, width, bytes; // of a frame
    int32_t layer;               // that sessions read: VDT_LAYER_LAST once opened,
    vdt_pool pool;               // and what of it: all tokens
};

enum { MODELS = 4 };

// A class token; windows and relative positions; registers; a norm before the blocks.
extern const char *const models[MODELS];

void open_with(struct bench *bench, const char *model, vdt_precision precision,
               const vdt_context_options *options);
void open_at(struct bench *bench, const char *model, vdt_precision precision, uint32_t threads);
void close_bench(struct bench *bench);

// A session of a stream, or (NULL) dense.
vdt_session *open_session(const struct bench *bench, const vdt_stream_options *stream);
vdt_stream_options stream_of(vdt_update update, uint32_t r, vdt_attention attention);
size_t features_of(const vdt_session *session);
vdt_clip clip_of(const vdt_session *session, const uint8_t *pixels);
void run(vdt_session *session, const uint8_t *pixels, float *features);

// Some squares of 8 pixels change.
void disturb(const struct bench *bench, struct random *random, uint8_t *pixels, size_t squares);

// A context's `progress`: cancels at the call that counts an int, `user`, down to 0.
int cancel(void *user, const char *what, size_t done, size_t total);

// The C library's memory, counted: how often ever, bytes held now.
extern atomic_size_t allocations, allocated;
void *count_allocate(void *user, size_t bytes);
void count_release(void *user, void *pointer, size_t bytes);

#endif
