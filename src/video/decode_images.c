// A directory of images as a video: the files with an image's suffix, in natural order (frame9
// before frame10). Each is opened when it is asked for; sizes may differ.
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/io.h"
#include "video/frames.h"

struct images_decoder {
    struct decoder base;
    char *directory;
    char **names; // (n), in natural order
    size_t n, capacity;
    struct decoder *image; // the one that is open
    uint64_t at;
};

static bool is_image(const char *name) {
    static const char *const suffixes[] = {"png", "jpg",  "jpeg", "bmp", "webp",
                                           "tif", "tiff", "ppm",  "pgm", "gif"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && name[0] != '.' && i < sizeof suffixes / sizeof *suffixes; i++) {
        if (strcasecmp(dot + 1, suffixes[i]) == 0) return true;
    }
    return false;
}

// Compares runs of digits by value, everything else byte by byte.
static int compare_natural(const char *a, const char *b) {
    while (*a && *b) {
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
            while (*a == '0') a++;
            while (*b == '0') b++;
            const size_t n = strspn(a, "0123456789"), m = strspn(b, "0123456789");
            if (n != m) return n < m ? -1 : 1;
            const int order = memcmp(a, b, n);
            if (order != 0) return order;
            a += n;
            b += m;
        } else {
            if (*a != *b) return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
            a++;
            b++;
        }
    }
    return (*a != '\0') - (*b != '\0');
}

static int compare_names(const void *a, const void *b) {
    const char *left = *(char *const *)a, *right = *(char *const *)b;
    const int order = compare_natural(left, right);
    return order ? order : strcmp(left, right);
}

static int count(struct decoder *decoder, vdt_error *error) {
    (void)decoder; // known since it was opened
    (void)error;
    return VDT_OK;
}

static int seek(struct decoder *decoder, uint64_t index, struct frame *frame, vdt_error *error) {
    struct images_decoder *images = (struct images_decoder *)decoder;
    if (index >= images->n) return VDT_END;
    char path[PATH_MAX];
    decoder_close(&images->image);
    int status = io_join(path, sizeof path, images->directory, images->names[index], error);
    if (!status)
        status = decode_av_open(&images->image, decoder->memory, path, decoder->stop, error);
    if (!status) status = images->image->functions->next(images->image, frame, error);
    if (status == VDT_END)
        status = status_fail(error, VDT_ERROR_FORMAT, "%s: holds no image", path);
    if (status) return status;
    frame->index = index;
    frame->time = (double)index / FRAMES_NOMINAL_RATE;
    images->at = index + 1;
    return VDT_OK;
}

static int next(struct decoder *decoder, struct frame *frame, vdt_error *error) {
    return seek(decoder, ((struct images_decoder *)decoder)->at, frame, error);
}

static void close_images(struct decoder *decoder) {
    struct images_decoder *images = (struct images_decoder *)decoder;
    decoder_close(&images->image);
    for (size_t i = 0; i < images->n; i++) mem_free(decoder->memory, images->names[i]);
    mem_free(decoder->memory, images->names);
    mem_free(decoder->memory, images->directory);
    mem_free(decoder->memory, images);
}

static const struct decoder_functions functions = {count, seek, next, close_images};

static int add_name(struct images_decoder *images, const char *name, vdt_error *error) {
    struct memory *memory = images->base.memory;
    char **names = mem_grow(memory, images->names, &images->capacity, images->n + 1, sizeof *names,
                            "directory", error);
    if (!names) return VDT_ERROR_MEMORY;
    images->names = names;
    names[images->n] = mem_string(memory, name, strlen(name), error);
    if (!names[images->n]) return VDT_ERROR_MEMORY;
    images->n++;
    return VDT_OK;
}

static int list_images(struct images_decoder *images, vdt_error *error) {
    DIR *directory = opendir(images->directory);
    if (!directory) {
        return status_fail(error, VDT_ERROR_IO, "%s: cannot be opened: %s", images->directory,
                           strerror(errno));
    }
    int status = VDT_OK;
    for (struct dirent *entry; !status && (entry = readdir(directory)) != NULL;) {
        if (!is_image(entry->d_name)) continue;
        status = add_name(images, entry->d_name, error);
    }
    closedir(directory);
    if (status) return status;
    if (images->n == 0) {
        return status_fail(error, VDT_ERROR_FORMAT,
                           "%s: expected a directory of images, found none", images->directory);
    }
    qsort(images->names, images->n, sizeof *images->names, compare_names);
    return VDT_OK;
}

static int open_directory(struct images_decoder *images, const char *input, vdt_error *error) {
    images->directory = mem_string(images->base.memory, input, strlen(input), error);
    if (!images->directory) return VDT_ERROR_MEMORY;
    int status = list_images(images, error);
    struct frame first = {0};
    if (!status) status = seek(&images->base, 0, &first, error);
    if (status) return status;
    images->at = 0;
    vdt_video_info *info = &images->base.info;
    *info = images->image->info;
    info->width = (uint32_t)first.width;
    info->height = (uint32_t)first.height;
    info->frames = images->n;
    info->rate = FRAMES_NOMINAL_RATE;
    info->seconds = (double)images->n / FRAMES_NOMINAL_RATE;
    snprintf(info->container, sizeof info->container, "images");
    return VDT_OK;
}

int decode_images_open(struct decoder **decoder, struct memory *memory, const char *input,
                       atomic_bool *stop, vdt_error *error) {
    struct images_decoder *images = mem_alloc(memory, 1, sizeof *images, "decoder", error);
    if (!images) return VDT_ERROR_MEMORY;
    images->base.functions = &functions;
    images->base.memory = memory;
    images->base.stop = stop;
    const int status = open_directory(images, input, error);
    if (status) {
        close_images(&images->base);
    } else {
        *decoder = &images->base;
    }
    return status;
}
