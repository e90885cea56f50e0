#include "reduce/difference.h"

double difference_score(const struct kernels *kernels, const struct pixel_scale *scale,
                        const uint8_t *a, size_t a_stride, const uint8_t *b, size_t b_stride,
                        size_t patch) {
    const double *std = scale->std;
    uint32_t sad[3];
    kernels->difference_rgb_u8(sad, a, a_stride, b, b_stride, patch, patch);
    return (double)sad[0] / std[0] + (double)sad[1] / std[1] + (double)sad[2] / std[2];
}
