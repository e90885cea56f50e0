#include "nn/patch_embed.h"

#include <string.h>

#include "core/checked.h"

struct run {
    struct exec *exec;
    const struct patch_embed *embed;
    float *x;
    const struct patch_rows *rows;
    const vdt_clip *clips;
    const struct patch_grid *grid;
    size_t tasks_a_clip, rows_a_task; // every thread gets as many tasks
};

// One patch in f32, then a task's patches as the projection reads them.
static size_t patch_bytes(const struct gemm *projection) {
    return align64(gemm_k(projection) * sizeof(float));
}

static size_t patches_bytes(const struct gemm *projection) {
    const size_t row = format_row_bytes(gemm_format(projection), gemm_k(projection));
    return align64(gemm_task_rows(projection) * row);
}

size_t patch_embed_scratch_bytes(const struct gemm *projection) {
    return patch_bytes(projection) + patches_bytes(projection) + gemm_scratch_bytes(projection);
}

// One row: the tubelet of `token`, (s, p, p, 3).
static void patchify(float *row, const struct patch_embed *embed, const vdt_clip *clip,
                     const struct patch_grid *grid, size_t token) {
    const size_t p = embed->patch;
    const size_t t = token / (grid->h * grid->w), h = token / grid->w % grid->h,
                 w = token % grid->w;
    for (size_t frame = 0; frame < embed->tubelet; frame++) {
        const uint8_t *corner = clip->pixels + (t * embed->tubelet + frame) * clip->frame_stride +
                                h * p * clip->row_stride + w * p * 3;
        for (size_t y = 0; y < p; y++, corner += clip->row_stride) {
            for (size_t x = 0; x < p; x++, row += 3) {
                row[0] = embed->values[0][corner[3 * x]];
                row[1] = embed->values[1][corner[3 * x + 1]];
                row[2] = embed->values[2][corner[3 * x + 2]];
            }
        }
    }
}

// What row `row` of a clip is, and where.
struct place {
    size_t patch;
    float *x;
    const float *length_row; // NULL: none
};

static struct place place_of(const struct run *run, size_t clip, size_t row) {
    const struct patch_rows *rows = run->rows;
    const size_t d = gemm_n(run->embed->projection), at = clip * rows->tokens + row;
    return (struct place){
        .patch = rows->indices[at] - rows->prefix,
        .x = run->x + (rows->starts[clip] + row) * d,
        .length_row = rows->length_rows ? rows->length_rows + (rows->lengths[at] - 1) * d : NULL};
}

static void embed_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    const struct run *run = argument;
    const struct gemm *projection = run->embed->projection;
    const size_t clip = task / run->tasks_a_clip, d = gemm_n(projection);
    const size_t first = run->rows->prefix + task % run->tasks_a_clip * run->rows_a_task;
    const size_t end = run->rows->starts[clip + 1] - run->rows->starts[clip];
    if (first >= end) return; // clips differ
    const size_t rows = min_size(run->rows_a_task, end - first);
    const enum format format = gemm_format(projection);
    const size_t row_bytes = format_row_bytes(format, gemm_k(projection));
    float *patch = scratch;
    unsigned char *patches = (unsigned char *)scratch + patch_bytes(projection);
    const void *pointers[GEMM_MAX_ROWS];
    for (size_t i = 0; i < rows; i++) {
        const struct place place = place_of(run, clip, first + i);
        patchify(patch, run->embed, &run->clips[clip], run->grid, place.patch);
        run->exec->kernels->encode[format](patches + i * row_bytes, patch, gemm_k(projection));
        pointers[i] = patches + i * row_bytes;
        memcpy(place.x, run->rows->positions + place.patch * d, d * sizeof *place.x);
        for (size_t j = 0; place.length_row && j < d; j++) place.x[j] += place.length_row[j];
    }
    float *x = run->x + (run->rows->starts[clip] + first) * d;
    gemm_rows(projection, x, d * sizeof *x, pointers, rows, gemm_all_columns(projection),
              &GEMM_RESIDUAL, patches + patches_bytes(projection));
}

void patch_embed_forward(struct exec *exec, const struct patch_embed *embed, float *x,
                         const struct patch_rows *rows, const vdt_clip *clips, size_t n_clips,
                         const struct patch_grid *grid) {
    struct run run = {exec, embed, x, rows, clips, grid, 0, 0};
    size_t most = 0;
    for (size_t b = 0; b < n_clips; b++)
        most = max_size(most, rows->starts[b + 1] - rows->starts[b] - rows->prefix);
    run.tasks_a_clip = max_size(ceil_div(most, gemm_task_rows(embed->projection)), 1);
    while (run.tasks_a_clip * n_clips % pool_threads(exec->pool) != 0) run.tasks_a_clip++;
    run.rows_a_task = ceil_div(most, run.tasks_a_clip);
    exec_run(exec, n_clips * run.tasks_a_clip, embed_task, &run);
    exec->macs += (uint64_t)(rows->starts[n_clips] - n_clips * rows->prefix) *
                  gemm_n(embed->projection) * gemm_k(embed->projection);
}

void patch_embed_permute(float *to, const float *from, size_t n_out, size_t tubelet, size_t patch) {
    const size_t pixels = tubelet * patch * patch;
    for (size_t o = 0; o < n_out; o++, from += 3 * pixels) {
        for (size_t i = 0; i < pixels; i++) {
            for (size_t c = 0; c < 3; c++) *to++ = from[c * pixels + i];
        }
    }
}
