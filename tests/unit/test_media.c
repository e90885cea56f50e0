// Decoders against media with known content: every way to a frame gives the same bytes, times are
// the container's, damaged files give what is left.
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "make_media.h"
#include "scratch.h"
#include "support.h"
#include "video/frames.h"

/* ---- one input, decoded from its beginning ------------------------------------------------- */

enum { MOST_FRAMES = 400 };

struct pictures {
    size_t n;
    struct {
        size_t width, height;
        double time;
        uint8_t *rgb; // rows without padding
    } frames[MOST_FRAMES];
};

static struct decoder *open_input(const char *path) {
    struct decoder *decoder = NULL;
    vdt_error error = {0};
    if (decoder_open(&decoder, test_memory(), path, NULL, &error)) fail_msg("%s", error.message);
    return decoder;
}

static uint8_t *copy_picture(const struct frame *frame) {
    uint8_t *rgb = make_bytes(frame->width * frame->height * 3);
    for (size_t y = 0; y < frame->height; y++) {
        memcpy(rgb + y * frame->width * 3, frame->pixels + y * frame->row_stride, frame->width * 3);
    }
    return rgb;
}

static struct pictures *decode_all(const char *path) {
    struct pictures *pictures = calloc(1, sizeof *pictures);
    assert_non_null(pictures);
    struct decoder *decoder = open_input(path);
    struct frame frame;
    vdt_error error = {0};
    int status;
    while ((status = decoder->functions->next(decoder, &frame, &error)) == VDT_OK) {
        assert_true(pictures->n < MOST_FRAMES);
        assert_int_equal(frame.index, pictures->n);
        pictures->frames[pictures->n].width = frame.width;
        pictures->frames[pictures->n].height = frame.height;
        pictures->frames[pictures->n].time = frame.time;
        pictures->frames[pictures->n++].rgb = copy_picture(&frame);
    }
    if (status != VDT_END) fail_msg("%s", error.message);
    assert_int_equal(error.status, VDT_OK);
    decoder_close(&decoder);
    return pictures;
}

static void free_pictures(struct pictures *pictures) {
    for (size_t i = 0; i < pictures->n; i++) free(pictures->frames[i].rgb);
    free(pictures);
}

static void check_frame(const char *path, const struct frame *frame,
                        const struct pictures *pictures, size_t index) {
    if (frame->index != index || frame->width != pictures->frames[index].width ||
        frame->height != pictures->frames[index].height ||
        frame->time != pictures->frames[index].time) {
        fail_msg("%s: frame %zu: found frame %llu of %zu x %zu at %g", path, index,
                 (unsigned long long)frame->index, frame->width, frame->height, frame->time);
    }
    const size_t bytes = 3 * frame->width;
    for (size_t y = 0; y < frame->height; y++) {
        if (memcmp(frame->pixels + y * frame->row_stride, pictures->frames[index].rgb + y * bytes,
                   bytes) != 0) {
            fail_msg("%s: frame %zu: row %zu differs from the frame that `next` gave", path, index,
                     y);
        }
    }
}

static void seek_to(const char *path, struct decoder *decoder, const struct pictures *pictures,
                    size_t index) {
    struct frame frame = {0};
    vdt_error error = {0};
    const int status = decoder->functions->seek(decoder, index, &frame, &error);
    if (status) fail_msg("%s: frame %zu: status %d %s", path, index, status, error.message);
    check_frame(path, &frame, pictures, index);
}

static void expect_end(const char *path, struct decoder *decoder, uint64_t index) {
    struct frame frame;
    vdt_error error = {0};
    if (decoder->functions->seek(decoder, index, &frame, &error) != VDT_END || error.status)
        fail_msg("%s: frame %llu is past the end", path, (unsigned long long)index);
}

/* ---- every way to a frame ------------------------------------------------------------------ */

// Forward, backward and in random order, with and without counting first.
static void check_seeks(const char *path, const struct pictures *pictures) {
    const size_t n = pictures->n;
    struct random random = {.state = 17};
    vdt_error error = {0};
    for (int counted = 0; counted < 2; counted++) {
        struct decoder *decoder = open_input(path);
        if (counted) assert_int_equal(decoder->functions->count(decoder, &error), VDT_OK);
        for (size_t i = 0; i < n; i++) seek_to(path, decoder, pictures, i);
        for (size_t i = n; i-- > 0;) seek_to(path, decoder, pictures, i);
        for (size_t i = 0; i < 2 * n + 3; i++)
            seek_to(path, decoder, pictures, random_size(&random, 0, n - 1));
        expect_end(path, decoder, n);
        expect_end(path, decoder, UINT64_MAX);
        seek_to(path, decoder, pictures, n - 1);
        assert_int_equal(decoder->info.frames, n);
        assert_int_equal(decoder->info.lost, 0);
        decoder_close(&decoder);
    }
}

// `next` goes on behind the frame that was sought, and begins at the first after counting.
static void check_next(const char *path, const struct pictures *pictures) {
    struct decoder *decoder = open_input(path);
    struct frame frame = {0};
    vdt_error error = {0};
    assert_int_equal(decoder->functions->count(decoder, &error), VDT_OK);
    assert_int_equal(decoder->info.frames, pictures->n);
    assert_int_equal(decoder->functions->next(decoder, &frame, &error), VDT_OK);
    check_frame(path, &frame, pictures, 0);
    const size_t middle = pictures->n / 2;
    seek_to(path, decoder, pictures, middle);
    for (size_t i = middle + 1; i < pictures->n; i++) {
        assert_int_equal(decoder->functions->next(decoder, &frame, &error), VDT_OK);
        check_frame(path, &frame, pictures, i);
    }
    assert_int_equal(decoder->functions->next(decoder, &frame, &error), VDT_END);
    decoder_close(&decoder);
}

static const struct input {
    const char *name;
    struct media_video video;
} inputs[] = {
    {"plain.mp4", {"mpeg4", 64, 48, 50, 12, 2, 0, false, false, 0}},
    {"front.mp4", {"mpeg4", 64, 48, 50, 12, 2, 0, false, true, 0}},
    {"variable.mp4", {"mpeg4", 64, 48, 45, 10, 2, 0, true, false, 0}},
    {"short_groups.mp4", {"mpeg4", 64, 48, 31, 3, 2, 0, false, false, 0}},
    {"plain.mov", {"mjpeg", 64, 48, 20, 0, 0, 0, false, false, 0}},
    {"plain.mkv", {"mpeg4", 64, 48, 40, 12, 2, 0, false, false, 0}},
    {"variable.mkv", {"mpeg4", 64, 48, 40, 12, 2, 0, true, false, 0}},
    {"lossless.mkv", {"ffv1", 64, 48, 20, 5, 0, 0, false, false, 0}},
    {"plain.avi", {"mpeg4", 64, 48, 40, 12, 2, 0, false, false, 0}},
    {"motion.avi", {"mjpeg", 64, 48, 20, 0, 0, 0, false, false, 0}},
    {"plain.ts", {"mpeg2video", 64, 48, 40, 12, 2, 0, false, false, 0}},
    {"four.ts", {"mpeg4", 64, 48, 40, 12, 2, 0, false, false, 0}},
    {"plain.gif", {"gif", 64, 48, 20, 0, 0, 0, false, false, 0}},
    {"one.mp4", {"mpeg4", 64, 48, 1, 12, 2, 0, false, false, 0}},
    {"pixel.mp4", {"mpeg4", 1, 1, 5, 12, 0, 0, false, false, 0}},
    {"wide.mp4", {"mpeg4", 8000, 30, 3, 12, 0, 0, false, false, 0}},
    {"tall.mov", {"mjpeg", 30, 8000, 3, 0, 0, 0, false, false, 0}},
    {"odd.mp4", {"mpeg4", 33, 17, 30, 12, 2, 0, false, false, 0}},
    {"odd.mov", {"mjpeg", 41, 33, 10, 0, 0, 0, false, false, 0}},
};
enum { INPUTS = sizeof inputs / sizeof *inputs };

static void test_videos(void **state) {
    (void)state;
    for (size_t i = 0; i < INPUTS; i++) {
        const struct input *input = &inputs[i];
        const char *path = scratch_path(input->name);
        media_write_video(path, &input->video);
        struct pictures *pictures = decode_all(path);
        if (pictures->n != (size_t)input->video.frames) {
            fail_msg("%s: expected %d frames, found %zu", path, input->video.frames, pictures->n);
        }
        for (size_t f = 0; f < pictures->n; f++) {
            const size_t width = pictures->frames[f].width, height = pictures->frames[f].height;
            assert_int_equal(width, input->video.width);
            assert_int_equal(height, input->video.height);
            const int number = media_read_number(pictures->frames[f].rgb, 3 * width, width, height);
            if (width >= 8 && number != (int)f)
                fail_msg("%s: frame %zu carries the number %d", path, f, number);
        }
        check_seeks(path, pictures);
        check_next(path, pictures);
        free_pictures(pictures);
    }
}

// A lossless codec gives back every byte.
static void test_lossless(void **state) {
    (void)state;
    const struct media_video video = {"ffv1", 64, 48, 12, 5, 0, 0, false, false, 0};
    const char *path = scratch_path("bytes.mkv");
    media_write_video(path, &video);
    struct pictures *pictures = decode_all(path);
    uint8_t *painted = make_bytes(64 * 48 * 3);
    assert_int_equal(pictures->n, 12);
    for (int i = 0; i < 12; i++) {
        media_paint(painted, 64, 48, i);
        assert_memory_equal(painted, pictures->frames[i].rgb, 64 * 48 * 3);
    }
    free(painted);
    free_pictures(pictures);
}

static void test_times(void **state) {
    (void)state;
    static const char *const names[] = {"times.mp4", "times.mkv"};
    for (int variable = 0; variable < 2; variable++) {
        for (size_t i = 0; i < 2; i++) {
            const struct media_video video = {"mpeg4", 64, 48, 40, 9, 2, 0, variable, false, 0};
            const char *path = scratch_path(names[i]);
            media_write_video(path, &video);
            struct pictures *pictures = decode_all(path);
            assert_int_equal(pictures->n, 40);
            for (int f = 0; f < 40; f++) {
                const double expected = (double)media_time(&video, f) * 1e-3;
                if (!(fabs(pictures->frames[f].time - expected) < 1e-9)) {
                    fail_msg("%s: frame %d: expected %.6f s, found %.6f", path, f, expected,
                             pictures->frames[f].time);
                }
            }
            free_pictures(pictures);
        }
    }
}

// The same coded pictures with and without a display matrix: a turned video is the plain one, laid
// down otherwise.
static void check_rotation(const struct pictures *plain, const char *path, int degrees) {
    struct pictures *turned = decode_all(path);
    struct decoder *decoder = open_input(path);
    assert_int_equal(decoder->info.rotation, degrees);
    assert_int_equal(decoder->info.width, degrees % 180 ? 48 : 64);
    assert_int_equal(decoder->info.height, degrees % 180 ? 64 : 48);
    decoder_close(&decoder);
    assert_int_equal(turned->n, plain->n);
    for (size_t i = 0; i < plain->n; i++) {
        const size_t w = turned->frames[i].width, h = turned->frames[i].height;
        assert_int_equal(w, degrees % 180 ? 48 : 64);
        assert_int_equal(h, degrees % 180 ? 64 : 48);
        for (size_t y = 0; y < h; y++) {
            for (size_t x = 0; x < w; x++) {
                // Clockwise by 90 degrees, the first row becomes the last column.
                size_t from_x = x, from_y = y;
                if (degrees == 90) from_x = y, from_y = w - 1 - x;
                if (degrees == 180) from_x = w - 1 - x, from_y = h - 1 - y;
                if (degrees == 270) from_x = h - 1 - y, from_y = x;
                assert_memory_equal(turned->frames[i].rgb + 3 * (y * w + x),
                                    plain->frames[i].rgb + 3 * (from_y * 64 + from_x), 3);
            }
        }
    }
    check_seeks(path, turned);
    free_pictures(turned);
}

static void test_rotation(void **state) {
    (void)state;
    struct media_video video = {"mpeg4", 64, 48, 10, 4, 1, 0, false, false, 0};
    media_write_video(scratch_path("upright.mp4"), &video);
    struct pictures *plain = decode_all(scratch_path("upright.mp4"));
    for (video.rotation = 0; video.rotation < 360; video.rotation += 90) {
        media_write_video(scratch_path("turned.mp4"), &video);
        check_rotation(plain, scratch_path("turned.mp4"), video.rotation);
    }
    free_pictures(plain);
}

/* ---- damaged files ------------------------------------------------------------------------- */

// Decodes everything that is left; checks that the ways to it agree.
static void check_remains(const char *path, size_t promised, bool promises, double kept) {
    struct pictures *pictures = decode_all(path);
    struct decoder *decoder = open_input(path);
    vdt_error error = {0};
    assert_int_equal(decoder->functions->count(decoder, &error), VDT_OK);
    const size_t n = pictures->n;
    if (n == 0 || n >= promised || (double)n < 0.5 * kept * (double)promised)
        fail_msg("%s: %zu frames of %zu after keeping %g of the bytes", path, n, promised, kept);
    assert_int_equal(decoder->info.frames, n);
    assert_int_equal(decoder->info.lost, promises ? promised - n : 0);
    size_t right = 0;
    for (size_t i = 0; i < n; i++) {
        seek_to(path, decoder, pictures, i);
        right += media_read_number(pictures->frames[i].rgb, 3 * 160, 160, 120) == (int)i;
    }
    seek_to(path, decoder, pictures, 0);
    if (right + 4 < n) // the cut spoils the last ones that depend on what is missing
        fail_msg("%s: only %zu of %zu frames hold what they should", path, right, n);
    expect_end(path, decoder, n);
    decoder_close(&decoder);
    free_pictures(pictures);
}

static void test_truncated(void **state) {
    (void)state;
    static const struct {
        const char *name, *codec;
        bool promises; // the container says how many frames it holds
    } files[] = {{"cut.mp4", "mpeg4", true},
                 {"cut.mkv", "mpeg4", false},
                 {"cut.avi", "mpeg4", true},
                 {"cut.ts", "mpeg2video", false}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const struct media_video video = {files[i].codec, 160, 120, 60, 6, 2, 0, false, true, 0};
        const char *path = scratch_path(files[i].name);
        media_write_video(path, &video);
        size_t n;
        uint8_t *bytes = scratch_read(path, &n);
        for (size_t tenths = 3; tenths <= 9; tenths += 3) {
            scratch_write(path, bytes, n * tenths / 10);
            check_remains(path, 60, files[i].promises, (double)tenths / 10);
        }
        free(bytes);
    }
}

static void expect_failure(const char *path, int expected) {
    struct decoder *decoder = NULL;
    vdt_error error = {0};
    const int status = decoder_open(&decoder, test_memory(), path, NULL, &error);
    if (status != expected || error.status != status || decoder != NULL)
        fail_msg("%s: expected status %d, found %d: %s", path, expected, status, error.message);
    assert_non_null(strstr(error.message, path));
    assert_null(strchr(error.message, '\n'));
}

// An index at the end is gone with the end: nothing can be decoded, and that is said.
static void test_unreadable(void **state) {
    (void)state;
    size_t n;
    media_write_video(scratch_path("end.mp4"), &inputs[0].video);
    uint8_t *bytes = scratch_read(scratch_path("end.mp4"), &n);
    scratch_write(scratch_path("end.mp4"), bytes, n * 6 / 10);
    free(bytes);
    expect_failure(scratch_path("end.mp4"), VDT_ERROR_FORMAT);
    media_write_wav(scratch_path("sound.wav"));
    expect_failure(scratch_path("sound.wav"), VDT_ERROR_FORMAT);
    scratch_write(scratch_path("empty.mp4"), "", 0);
    expect_failure(scratch_path("empty.mp4"), VDT_ERROR_FORMAT);
    scratch_write(scratch_path("notes.txt"), "not a video\n", 12);
    expect_failure(scratch_path("notes.txt"), VDT_ERROR_FORMAT);
    scratch_write(scratch_path("notes.mp4"), "not a video either\n", 19);
    expect_failure(scratch_path("notes.mp4"), VDT_ERROR_FORMAT);
    // libav paints text, with colours where it holds escapes: no video for us.
    static const char *const texts[] = {"readme.txt", "art.ans", "card.nfo"};
    char text[4000];
    for (size_t i = 0; i < sizeof text; i++) text[i] = "\033[31mred\033[0m plain\n"[i % 19];
    for (size_t i = 0; i < 3; i++) {
        scratch_write(scratch_path(texts[i]), text, sizeof text);
        expect_failure(scratch_path(texts[i]), VDT_ERROR_FORMAT);
    }
    scratch_write(scratch_path("empty.npy"), "", 0);
    expect_failure(scratch_path("empty.npy"), VDT_ERROR_FORMAT);
    expect_failure(scratch_path("nothing.mp4"), VDT_ERROR_IO);
    expect_failure(scratch_path("nothing.npy"), VDT_ERROR_IO);
    assert_int_equal(mkdir(scratch_path("bare"), 0777), 0);
    expect_failure(scratch_path("bare"), VDT_ERROR_FORMAT);
}

// A file with some bits turned over: whatever happens, it ends with frames or with a status.
static void try_damaged(const char *path, struct random *random) {
    struct decoder *decoder = NULL;
    vdt_error error = {0};
    struct frame frame = {0};
    int status = decoder_open(&decoder, test_memory(), path, NULL, &error);
    uint64_t sum = 0;
    for (size_t i = 0; !status && i < 70; i++) {
        status = decoder->functions->next(decoder, &frame, &error);
        if (status) break;
        assert_true(frame.width > 0 && frame.height > 0 && frame.row_stride >= 3 * frame.width);
        sum += frame.pixels[0] +
               frame.pixels[(frame.height - 1) * frame.row_stride + 3 * frame.width - 1];
    }
    if (status == VDT_OK || status == VDT_END) status = decoder->functions->count(decoder, &error);
    for (size_t i = 0; !status && decoder->info.frames > 0 && i < 6; i++) {
        const uint64_t index = random_bits(random) % decoder->info.frames;
        status = decoder->functions->seek(decoder, index, &frame, &error);
        if (!status) assert_int_equal(frame.index, index);
        if (status == VDT_END) status = VDT_OK; // the count has shrunk
    }
    assert_true(status <= 0);
    assert_int_equal(status, error.status);
    assert_int_equal(strlen(error.message) > 0, status != VDT_OK);
    assert_true(sum < UINT64_MAX);
    if (decoder) decoder_close(&decoder);
}

static void test_flipped_bits(void **state) {
    (void)state;
    enum { COPIES = 60 };
    static const char *const names[] = {"plain.mp4", "front.mp4", "plain.mkv", "plain.avi",
                                        "plain.ts",  "plain.mov", "plain.gif", "lossless.mkv"};
    struct random random = {.state = 23};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n, video = 0;
        char flipped[32];
        while (strcmp(inputs[video].name, names[i]) != 0) video++;
        media_write_video(scratch_path(names[i]), &inputs[video].video);
        uint8_t *bytes = scratch_read(scratch_path(names[i]), &n);
        snprintf(flipped, sizeof flipped, "flipped_%s", names[i]);
        for (size_t copy = 0; copy < COPIES; copy++) {
            // One to 64 bits, every third copy among the first or the last bytes: headers, indices.
            const size_t flips = (size_t)1 << random_size(&random, 0, 6);
            const size_t reach = copy % 3 == 0 && n > 1024 ? 1024 : n;
            const size_t start = copy % 6 == 0 ? n - reach : 0;
            uint8_t *damaged = make_bytes(n);
            memcpy(damaged, bytes, n);
            for (size_t f = 0; f < flips; f++) {
                const size_t at = start + random_size(&random, 0, reach - 1);
                damaged[at] ^= (uint8_t)(1 << random_size(&random, 0, 7));
            }
            scratch_write(scratch_path(flipped), damaged, n);
            free(damaged);
            try_damaged(scratch_path(flipped), &random);
        }
        free(bytes);
    }
}

/* ---- images -------------------------------------------------------------------------------- */

// tolerance: libswscale rounds 16-bit samples v * 257 to v or v + 1.
static void check_picture(const char *format, bool grey, bool palette, int tolerance) {
    enum { WIDTH = 41, HEIGHT = 23 };
    const char *path = scratch_path("picture.png");
    media_write_png(path, format, WIDTH, HEIGHT);
    struct pictures *pictures = decode_all(path);
    assert_int_equal(pictures->n, 1);
    assert_int_equal(pictures->frames[0].width, WIDTH);
    assert_int_equal(pictures->frames[0].height, HEIGHT);
    assert_true(pictures->frames[0].time == 0.0);
    const uint8_t *rgb = pictures->frames[0].rgb;
    for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < WIDTH; x++, rgb += 3) {
            const int index = media_channel(x, y, 0);
            for (int c = 0; c < 3; c++) {
                int expected = media_channel(x, y, grey ? 0 : c);
                if (palette) expected = c == 0 ? index : c == 1 ? 255 - index : index ^ 0x55;
                if (abs(rgb[c] - expected) > tolerance) {
                    fail_msg("%s: (%d, %d) channel %d: expected %d, found %d", format, x, y, c,
                             expected, rgb[c]);
                }
            }
        }
    }
    check_seeks(path, pictures);
    free_pictures(pictures);
}

static void test_pictures(void **state) {
    (void)state;
    static const struct {
        const char *format;
        bool grey, palette;
        int tolerance;
    } formats[] = {
        {"rgb24", false, false, 0},    {"rgb48be", false, false, 1}, {"rgba", false, false, 0},
        {"rgba64be", false, false, 1}, {"gray", true, false, 0},     {"gray16be", true, false, 1},
        {"ya8", true, false, 0},       {"ya16be", true, false, 1},   {"pal8", false, true, 0}};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        check_picture(formats[i].format, formats[i].grey, formats[i].palette, formats[i].tolerance);
    }
}

/* ---- directories and arrays ---------------------------------------------------------------- */

static void check_numbers(const char *path, const int *numbers, size_t n) {
    struct pictures *pictures = decode_all(path);
    assert_int_equal(pictures->n, n);
    for (size_t i = 0; i < n; i++) {
        const size_t width = pictures->frames[i].width;
        assert_int_equal(media_read_number(pictures->frames[i].rgb, 3 * width, width,
                                           pictures->frames[i].height),
                         numbers[i]);
        assert_true(fabs(pictures->frames[i].time - (double)i * 0.04) < 1e-12);
    }
    check_seeks(path, pictures);
    check_next(path, pictures);
    free_pictures(pictures);
}

static void in_directory(char *path, size_t path_bytes, const char *directory, const char *name) {
    assert_true((size_t)snprintf(path, path_bytes, "%s/%s", directory, name) < path_bytes);
}

static void test_directory(void **state) {
    (void)state;
    static const int ascending[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    const char *directory = scratch_path("frames");
    media_write_directory(directory, 12, 64, 48);
    check_numbers(directory, ascending, 12);

    // Suffixes in any case, other sizes, leading zeros; hidden files and others are passed over.
    static const char *const names[] = {"a2.PNG", "a02.png", "a10.png", "b1.png", "A3.png"};
    static const int order[] = {204, 200, 201, 202, 203}; // A3.png a2.PNG a02.png ...
    char path[1200];
    directory = scratch_path("mixed");
    media_write_directory(directory, 0, 64, 48);
    for (int i = 0; i < 5; i++) {
        in_directory(path, sizeof path, directory, names[i]);
        media_write_frame(path, 64 + 8 * i, 48 - 3 * i, 200 + i);
    }
    in_directory(path, sizeof path, directory, ".hidden.png");
    scratch_write(path, "x", 1);
    in_directory(path, sizeof path, directory, "notes.txt");
    scratch_write(path, "x", 1);
    check_numbers(directory, order, 5);
}

// A picture that does not decode is an error of that frame alone.
static void test_broken_picture(void **state) {
    (void)state;
    const char *directory = scratch_path("broken");
    char path[1200];
    media_write_directory(directory, 3, 64, 48);
    in_directory(path, sizeof path, directory, "frame2.png");
    scratch_write(path, "not a picture", 13);
    struct decoder *decoder = open_input(directory);
    struct frame frame;
    vdt_error error = {0};
    assert_int_equal(decoder->functions->seek(decoder, 0, &frame, &error), VDT_OK);
    assert_int_equal(decoder->functions->seek(decoder, 1, &frame, &error), VDT_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "frame2.png"));
    error = (vdt_error){0};
    assert_int_equal(decoder->functions->seek(decoder, 2, &frame, &error), VDT_OK);
    assert_int_equal(media_read_number(frame.pixels, frame.row_stride, 64, 48), 3);
    decoder_close(&decoder);
}

static void test_array(void **state) {
    (void)state;
    static const int numbers[] = {0, 1, 2, 3, 4, 5, 6};
    media_write_npy(scratch_path("clip.npy"), 7, 33, 65);
    check_numbers(scratch_path("clip.npy"), numbers, 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_videos),       cmocka_unit_test(test_lossless),
        cmocka_unit_test(test_times),        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_truncated),    cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_flipped_bits), cmocka_unit_test(test_pictures),
        cmocka_unit_test(test_directory),    cmocka_unit_test(test_broken_picture),
        cmocka_unit_test(test_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
