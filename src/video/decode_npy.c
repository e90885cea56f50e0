// Clips of bytes in a NumPy array: (T, H, W, 3), or one frame (H, W, 3).
#include <stdio.h>

#include "core/io.h"
#include "format/npy.h"
#include "video/frames.h"

struct npy_decoder {
    struct decoder base;
    struct mapping mapping;
    struct tensor array;
    size_t height, width;
    uint64_t at;
};

static int count(struct decoder *decoder, vdt_error *error) {
    (void)decoder; // known since it was opened
    (void)error;
    return VDT_OK;
}

static int seek(struct decoder *decoder, uint64_t index, struct frame *frame, vdt_error *error) {
    (void)error;
    struct npy_decoder *npy = (struct npy_decoder *)decoder;
    if (index >= decoder->info.frames) return VDT_END;
    *frame = (struct frame){.pixels = npy->array.data + index * npy->height * npy->width * 3,
                            .width = npy->width,
                            .height = npy->height,
                            .row_stride = npy->width * 3,
                            .index = index,
                            .time = (double)index / FRAMES_NOMINAL_RATE};
    npy->at = index + 1;
    return VDT_OK;
}

static int next(struct decoder *decoder, struct frame *frame, vdt_error *error) {
    return seek(decoder, ((struct npy_decoder *)decoder)->at, frame, error);
}

static void close_npy(struct decoder *decoder) {
    struct npy_decoder *npy = (struct npy_decoder *)decoder;
    io_unmap(&npy->mapping);
    mem_free(decoder->memory, npy);
}

static const struct decoder_functions functions = {count, seek, next, close_npy};

// The leading dimension, 1 for a single frame; 0 where the shape is no clip.
static size_t frames_of(const struct tensor *array) {
    const size_t n = array->n_dimensions;
    if ((n != 3 && n != 4) || array->shape[n - 1] != 3 || array->count == 0) return 0;
    return n == 4 ? array->shape[0] : 1;
}

static int open_array(struct npy_decoder *npy, const char *input, vdt_error *error) {
    int status = io_map(&npy->mapping, input, error);
    if (!status)
        status = npy_parse_u8(&npy->array, npy->mapping.data, npy->mapping.bytes, input, error);
    if (status) return status;
    const size_t frames = frames_of(&npy->array), n = npy->array.n_dimensions;
    if (frames == 0) {
        char shape[96];
        tensor_shape_text(shape, sizeof shape, npy->array.shape, n);
        return status_fail(error, VDT_ERROR_FORMAT,
                           "%s: expected a clip (T, H, W, 3), found shape %s", input, shape);
    }
    npy->height = npy->array.shape[n - 3];
    npy->width = npy->array.shape[n - 2];
    vdt_video_info *info = &npy->base.info;
    info->width = (uint32_t)npy->width;
    info->height = (uint32_t)npy->height;
    info->frames = frames;
    info->rate = FRAMES_NOMINAL_RATE;
    info->seconds = (double)frames / FRAMES_NOMINAL_RATE;
    snprintf(info->container, sizeof info->container, "npy");
    snprintf(info->codec, sizeof info->codec, "rgb24");
    return VDT_OK;
}

int decode_npy_open(struct decoder **decoder, struct memory *memory, const char *input,
                    atomic_bool *stop, vdt_error *error) {
    struct npy_decoder *npy = mem_alloc(memory, 1, sizeof *npy, "decoder", error);
    if (!npy) return VDT_ERROR_MEMORY;
    npy->base.functions = &functions;
    npy->base.memory = memory;
    npy->base.stop = stop;
    const int status = open_array(npy, input, error);
    if (status) {
        close_npy(&npy->base);
    } else {
        *decoder = &npy->base;
    }
    return status;
}
