#include "video/sample.h"

static uint64_t min_u64(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

// numpy's linspace(0, end, n) as int64: the step is rounded to double before it is multiplied.
static uint64_t linspace(uint64_t i, uint64_t n, uint64_t end) {
    if (n == 1 || i == 0) return 0;
    if (i == n - 1) return end;
    return (uint64_t)((double)i * ((double)end / (double)(n - 1)));
}

// numpy's arange(0, total, total / n), truncated: the step is a double there too.
static uint64_t arange(uint64_t i, uint64_t n, uint64_t total) {
    return (uint64_t)((double)i * ((double)total / (double)n));
}

void sample_indices(uint64_t *indices, uint64_t n, uint64_t total, vdt_sampling_kind kind,
                    uint64_t rate, uint64_t view, uint64_t views) {
    const uint64_t span = (n - 1) * rate + 1, room = total > span ? total - span : 0;
    const uint64_t start =
        kind == VDT_SAMPLE_MULTI && views > 1 ? view * room / (views - 1) : room / 2;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t index = start + i * rate;
        if (kind == VDT_SAMPLE_UNIFORM) index = arange(i, n, total);
        if (kind == VDT_SAMPLE_HF_PIPELINE) index = linspace(i, n, n * rate - 1);
        indices[i] = min_u64(index, total - 1);
    }
}
