#include "video/preprocess.h"

#include <string.h>

#include "core/checked.h"

void preprocess_init(struct preprocess *preprocess, struct memory *memory,
                     const struct kernels *kernels, const struct processor *processor,
                     size_t height, size_t width) {
    *preprocess = (struct preprocess){.processor = *processor, .height = height, .width = width};
    preprocess->resize.memory = memory;
    preprocess->resize.kernels = kernels;
    size_t own_height, own_width;
    if (!processor_output_size(processor, &own_height, &own_width) || own_height != height ||
        own_width != width) {
        processor_set_size(&preprocess->processor, height, width);
    }
}

// One direction of a crop: `wanted` pixels out of `have`, beginning at floor((have - wanted) / 2)
// (also where that is negative), or at either end. The result's pixels [to, to + n) are the input's
// from `from`.
struct crop {
    size_t from, to, n;
};

static struct crop make_crop(size_t have, size_t wanted, bool rounds, enum placement placement) {
    if (have < wanted) { // padding: ceil of half before
        const size_t before = (wanted - have + 1) / 2;
        return (struct crop){.from = 0, .to = before, .n = have};
    }
    size_t from = (have - wanted) / 2;
    if (rounds && (have - wanted) % 2 == 1) from += from % 2; // half to even
    if (placement == PLACE_START) from = 0;
    if (placement == PLACE_END) from = have - wanted;
    return (struct crop){.from = from, .to = 0, .n = wanted};
}

// The processor of several views: the shorter side fits, the longer is cropped.
static struct processor view_processor(const struct preprocess *preprocess) {
    struct processor processor = preprocess->processor;
    processor.resize = RESIZE_SHORTEST_EDGE;
    processor.height = processor.width = max_size(preprocess->height, preprocess->width);
    processor.crop = true;
    return processor;
}

int preprocess_frame(struct preprocess *preprocess, uint8_t *out, const struct frame *frame,
                     enum placement placement, vdt_error *error) {
    const struct processor processor =
        placement == PLACE_PROCESSOR ? preprocess->processor : view_processor(preprocess);
    size_t height, width;
    processor_resized_size(&processor, frame->height, frame->width, &height, &width);
    enum { MAX_SIDE = 1 << 20 };
    if (height < 1 || width < 1 || height > MAX_SIDE || width > MAX_SIDE) {
        return status_fail(error, VDT_ERROR_UNSUPPORTED,
                           "a frame of %zu x %zu cannot be resized to %zu x %zu", frame->width,
                           frame->height, width, height);
    }
    if (!processor.crop && (height != preprocess->height || width != preprocess->width)) {
        return status_fail(error, VDT_ERROR_UNSUPPORTED,
                           "a frame of %zu x %zu: the model's processor neither resizes nor crops, "
                           "expected %zu x %zu",
                           frame->width, frame->height, preprocess->width, preprocess->height);
    }
    const struct crop y = make_crop(height, preprocess->height, processor.crop_rounds, placement);
    const struct crop x = make_crop(width, preprocess->width, processor.crop_rounds, placement);
    const size_t stride = 3 * preprocess->width;
    if (y.n < preprocess->height || x.n < preprocess->width)
        memset(out, 0, preprocess->height * stride);
    const struct rectangle wanted = {.x = x.from, .y = y.from, .width = x.n, .height = y.n};
    return resize_run(&preprocess->resize, out + y.to * stride + 3 * x.to, stride, width, height,
                      wanted, frame->pixels, frame->row_stride, frame->width, frame->height,
                      processor.resample, error);
}

void preprocess_free(struct preprocess *preprocess) {
    resize_free(&preprocess->resize);
}
