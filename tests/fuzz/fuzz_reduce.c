// Bytes as clips and what reduces them: RLT's decision on the bytes themselves, then a block of ToMe whose
// keys are bytes, too (NaN and infinity among them). Whatever the numbers: kept tokens ascend, run lengths
// fill the clip, every token has a row, and sizes add up.
//
//     | shape of the clips, options: 4 bytes each | pixels, then keys: the rest, again and again |
#include <math.h>
#include <string.h>

#include "core/arena.h"
#include "fuzz.h"
#include "kernels/cpu.h"
#include "reduce/rlt.h"
#include "reduce/tome.h"

struct reader {
    const uint8_t *at, *end;
};

static uint32_t take(struct reader *reader) {
    uint32_t value = 0;
    for (size_t i = 0; i < 4 && reader->at < reader->end; i++)
        value |= (uint32_t)*reader->at++ << 8 * i;
    return value;
}

enum { CLIPS = 3, MOST_TOKENS = 300, MOST_D = 24, MOST_PIXELS = 1 << 17 };

struct work {
    struct exec exec;
    struct kernels kernels;
    struct rlt rlt;
    struct tome tome;
    struct sequence sequence;
    size_t clips, tokens, frames, row_bytes;
    uint8_t *pixels; // (clips, MOST_PIXELS)
    float *keys, *x, *y;
    uint32_t list[1];
};

static bool take_work(struct work *w, struct reader *reader) {
    struct rlt *rlt = &w->rlt;
    rlt->tubelet = 1 + take(reader) % 3;
    rlt->patch = 1 + take(reader) % 9;
    rlt->prefix = take(reader) % 4;
    rlt->grid =
        (struct patch_grid){1 + take(reader) % 6, 1 + take(reader) % 5, 1 + take(reader) % 5};
    rlt->scale = (struct pixel_scale){255.0, {0.2, 0.3, 0.4}};
    w->clips = 1 + take(reader) % CLIPS;
    w->tokens = rlt->prefix + rlt->grid.t * rlt->grid.h * rlt->grid.w;
    w->frames = rlt->grid.t * rlt->tubelet;
    w->row_bytes = rlt->grid.w * rlt->patch * 3;
    rlt->options = (vdt_rlt_options){.mode = (vdt_rlt_mode)(1 + take(reader) % 4),
                                     .tau = (double)(int32_t)take(reader) * 1e-3,
                                     .keep = take(reader),
                                     .seed = take(reader),
                                     .reference = (vdt_rlt_reference)(take(reader) % 2),
                                     .lengths = take(reader) % 4};
    w->tome = (struct tome){.blocks = 1, .heads = 1 + take(reader) % 3, .d = 1 + take(reader) % 8};
    w->list[0] = take(reader);
    w->tome.options = (vdt_tome_options){.mode = (vdt_tome_mode)(1 + take(reader) % 3),
                                         .r = w->list[0],
                                         .list = w->list,
                                         .n_list = 1,
                                         .percent = (double)(take(reader) % 120)};
    return rlt_check(rlt, true, NULL) == VDT_OK && tome_check(&w->tome, NULL) == VDT_OK;
}

static void lay_out(struct work *w, struct arena *arena) {
    const size_t rows = w->clips * w->tokens;
    sequence_layout(&w->sequence, arena, w->clips, w->tokens, w->rlt.prefix);
    rlt_layout(&w->rlt, arena, w->clips);
    tome_layout(&w->tome, arena, w->clips, w->tokens);
    w->pixels = arena_take(arena, w->clips, MOST_PIXELS);
    w->keys = arena_take(arena, rows, MOST_D * sizeof *w->keys);
    w->x = arena_take(arena, rows, MOST_D * sizeof *w->x);
    w->y = arena_take(arena, rows, MOST_D * sizeof *w->y);
}

static void check_lengths(const struct work *w, size_t clip) {
    const struct sequence *s = &w->sequence;
    const size_t places = w->rlt.grid.h * w->rlt.grid.w, first = clip * w->tokens;
    size_t sums[25] = {0};
    FUZZ_REQUIRE(s->kept[clip] >= w->rlt.prefix + places && s->kept[clip] <= w->tokens);
    for (size_t i = w->rlt.prefix; i < s->kept[clip]; i++) {
        const size_t patch = s->indices[first + i] - w->rlt.prefix;
        FUZZ_REQUIRE(patch < places * w->rlt.grid.t);
        FUZZ_REQUIRE(i == w->rlt.prefix || s->indices[first + i] > s->indices[first + i - 1]);
        sums[patch % places] += s->lengths[first + i];
    }
    for (size_t i = 0; i < places; i++) FUZZ_REQUIRE(sums[i] == w->rlt.grid.t);
}

// Every row stands for at least one token, every token has a row.
static void check_sources(const struct work *w, size_t clip) {
    const struct sequence *s = &w->sequence;
    uint8_t seen[MOST_TOKENS] = {0};
    for (size_t i = 0; i < w->tokens; i++) {
        const uint32_t row = s->source[clip * w->tokens + i];
        FUZZ_REQUIRE(row < sequence_rows(s, clip));
        seen[row] = 1;
    }
    for (size_t row = 0; row < sequence_rows(s, clip); row++) FUZZ_REQUIRE(seen[row]);
}

static void fill(void *to, size_t n, const struct reader *rest) {
    const size_t size = (size_t)(rest->end - rest->at);
    for (size_t i = 0; i < n; i++) ((uint8_t *)to)[i] = size > 0 ? rest->at[i % size] : 0;
}

static double total_size(const struct sequence *s) {
    double total = 0.0;
    for (size_t i = 0; i < sequence_total(s); i++) total += (double)s->sizes[i];
    return total;
}

static void run(struct work *w, const struct reader *rest) {
    vdt_clip clips[CLIPS];
    const size_t frame = w->row_bytes * w->rlt.grid.h * w->rlt.patch, d = w->tome.heads * w->tome.d;
    for (size_t b = 0; b < w->clips; b++) {
        clips[b] = (vdt_clip){w->pixels + b * MOST_PIXELS, w->row_bytes, frame};
        fill(w->pixels + b * MOST_PIXELS, frame * w->frames, rest);
    }
    tome_prepare(&w->tome);
    sequence_start(&w->sequence, w->clips);
    rlt_decide(&w->exec, &w->rlt, clips, &w->sequence);
    for (size_t b = 0; b < w->clips; b++) check_lengths(w, b);
    const double before = total_size(&w->sequence);
    fill(w->keys, sequence_total(&w->sequence) * d * sizeof *w->keys, rest);
    memset(w->x, 0, sequence_total(&w->sequence) * d * sizeof *w->x);
    const struct rows x = {w->x, d * sizeof *w->x, FORMAT_F32},
                      y = {w->y, d * sizeof *w->y, FORMAT_F32},
                      keys = {w->keys, d * sizeof *w->keys, FORMAT_F32};
    tome_merge(&w->exec, &w->tome, &w->sequence, 0, y, x, keys);
    FUZZ_REQUIRE(total_size(&w->sequence) == before);
    for (size_t b = 0; b < w->clips; b++) check_sources(w, b);
}

static void target(struct memory *memory, const uint8_t *data, size_t size) {
    struct reader reader = {data, data + size};
    struct work w = {0};
    if (!take_work(&w, &reader)) return;
    kernels_init(&w.kernels, size % 2 ? VDT_CPU_C : cpu_detect());
    w.exec.kernels = &w.kernels;
    if (pool_open(&w.exec.pool, memory, 1, NULL)) return;
    struct arena counting = {0};
    lay_out(&w, &counting);
    struct arena arena = {.base = mem_alloc_raw(memory, counting.peak, 1, "test", NULL)};
    if (arena.base) {
        lay_out(&w, &arena);
        FUZZ_REQUIRE(arena.peak == counting.peak && !arena.overflow);
        run(&w, &reader);
        mem_free(memory, arena.base);
    }
    pool_close(&w.exec.pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_run(target, data, size);
    return 0;
}
