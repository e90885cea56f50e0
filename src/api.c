// Entry points that join parts which do not know each other, and those that belong to no object.
#include <math.h>

#include "session.h"
#include "video/frames.h"
#include "video/reader.h"

vdt_status vdt_reader_open(vdt_reader **reader, const vdt_session *session,
                           const char *const *inputs, size_t n_inputs,
                           const vdt_reader_options *options, vdt_error *error) {
    const struct vdt_model *model = session->model;
    const struct reader_target target = {
        .memory = &model->context->memory,
        .kernels = &model->context->kernels,
        .processor = &model->processor,
        .frames = session->shape.frames,
        .height = session->shape.height,
        .width = session->shape.width,
        .rate = model->info.rate,
        .threads = pool_threads(model->context->pool),
    };
    return reader_open(reader, &target, inputs, n_inputs, options, error);
}

vdt_status vdt_video_probe(vdt_video_info *info, vdt_context *context, const char *input,
                           vdt_error *error) {
    struct decoder *decoder = NULL;
    int status = decoder_open(&decoder, &context->memory, input, NULL, error);
    if (!status && !decoder->live) status = decoder->functions->count(decoder, error);
    if (!status) *info = decoder->info;
    decoder_close(&decoder);
    return status;
}

size_t vdt_argmax(const float *values, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++) {
        if (values[i] > values[best]) best = i;
    }
    return best;
}

void vdt_softmax(float *values, size_t n) {
    const double max = values[vdt_argmax(values, n)];
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += exp((double)values[i] - max);
    for (size_t i = 0; i < n; i++) values[i] = (float)(exp((double)values[i] - max) / sum);
}
