#include "video/frames.h"

#include <string.h>

#include "core/io.h"

static bool has_suffix(const char *text, const char *suffix) {
    const size_t n = strlen(text), m = strlen(suffix);
    return n >= m && strcmp(text + n - m, suffix) == 0;
}

int decoder_open(struct decoder **decoder, struct memory *memory, const char *input,
                 atomic_bool *stop, vdt_error *error) {
    if (has_suffix(input, ".npy")) return decode_npy_open(decoder, memory, input, stop, error);
    if (io_is_directory(input)) return decode_images_open(decoder, memory, input, stop, error);
    return decode_av_open(decoder, memory, input, stop, error);
}
