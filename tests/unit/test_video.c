// Video arithmetic against recorded truth (tests/vectors, made by scripts/make_vectors.py): resize
// bytes against Pillow, decoded frames against PyAV, sampled indices against NumPy.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu.h"
#include "support.h"
#include "video/frames.h"
#include "video/resize.h"
#include "video/sample.h"

// Calls `row` for every line of a CSV file that is not a comment or the header.
static size_t for_each_row(const char *path, void (*row)(char *line)) {
    FILE *file = fopen(path, "r");
    char line[4096];
    size_t n = 0;
    bool header = true;
    if (!file) fail_msg("%s: cannot be opened", path);
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] == '#' || line[0] == '\0') continue;
        if (!header) {
            row(line);
            n++;
        }
        header = false;
    }
    fclose(file);
    return n;
}

/* ---- resize -------------------------------------------------------------------------------- */

// The vectors' input: bytes of xorshift64*, the least significant first.
static void vector_bytes(uint8_t *bytes, size_t n, uint64_t seed) {
    struct random random = {seed | 1};
    for (size_t i = 0; i < n; i += 8) {
        const uint64_t bits = random_bits(&random);
        for (size_t j = 0; j < 8 && i + j < n; j++) bytes[i + j] = (uint8_t)(bits >> 8 * j);
    }
}

static void resize_row(char *line) {
    unsigned filter;
    size_t in_width, in_height, out_width, out_height;
    unsigned long long seed, expected;
    assert_int_equal(sscanf(line, "%u,%zu,%zu,%zu,%zu,%llu,%llx", &filter, &in_width, &in_height,
                            &out_width, &out_height, &seed, &expected),
                     7);
    uint8_t *in = make_bytes(3 * in_width * in_height),
            *out = make_bytes(3 * out_width * out_height);
    vector_bytes(in, 3 * in_width * in_height, seed);
    for (int level = VDT_CPU_C; level <= (int)cpu_detect(); level++) {
        struct kernels kernels;
        kernels_init(&kernels, (vdt_cpu)level);
        struct resize resize = {.memory = test_memory(), .kernels = &kernels};
        const struct rectangle all = {0, 0, out_width, out_height};
        assert_int_equal(resize_run(&resize, out, 3 * out_width, out_width, out_height, all, in,
                                    3 * in_width, in_width, in_height, (enum resample)filter, NULL),
                         VDT_OK);
        if (fnv1a(FNV_START, out, 3 * out_width * out_height) != expected)
            fail_msg("other bytes: %s", line);
        // A part of the output is computed alone: the same bytes.
        const struct rectangle part = {out_width / 3, out_height / 4,
                                       out_width - out_width / 3 - out_width / 4,
                                       out_height - out_height / 4 - out_height / 3};
        uint8_t *cut = make_bytes(3 * part.width * part.height);
        assert_int_equal(resize_run(&resize, cut, 3 * part.width, out_width, out_height, part, in,
                                    3 * in_width, in_width, in_height, (enum resample)filter, NULL),
                         VDT_OK);
        for (size_t y = 0; y < part.height; y++) {
            assert_memory_equal(cut + 3 * y * part.width,
                                out + 3 * ((part.y + y) * out_width + part.x), 3 * part.width);
        }
        free(cut);
        resize_free(&resize);
    }
    free(in);
    free(out);
}

static void resize_equals_pillow(void **state) {
    (void)state;
    assert_in_range(for_each_row(source_path("tests/vectors/resize.csv"), resize_row), 800, 100000);
}

/* ---- sampling ------------------------------------------------------------------------------ */

static void sampling_row(char *line) {
    char kind[16];
    uint64_t indices[2048];
    unsigned long long total, n, rate;
    int at;
    assert_int_equal(sscanf(line, "%15[^,],%llu,%llu,%llu,%n", kind, &total, &n, &rate, &at), 4);
    const vdt_sampling_kind which = strcmp(kind, "center") == 0    ? VDT_SAMPLE_CENTER
                                    : strcmp(kind, "uniform") == 0 ? VDT_SAMPLE_UNIFORM
                                                                   : VDT_SAMPLE_HF_PIPELINE;
    sample_indices(indices, n, total, which, rate > 0 ? rate : 1, 0, 1);
    char *number = line + at;
    for (size_t i = 0; i < n; i++) {
        if (strtoull(number, &number, 10) != indices[i])
            fail_msg("index %zu is %llu: %s", i, (unsigned long long)indices[i], line);
    }
}

static void sampling_equals_numpy(void **state) {
    (void)state;
    assert_in_range(for_each_row(source_path("tests/vectors/sampling.csv"), sampling_row), 90,
                    100000);
}

static void views_cover_the_video(void **state) {
    (void)state;
    uint64_t indices[4];
    static const uint64_t expected[3][4] = {{0, 2, 4, 6}, {46, 48, 50, 52}, {93, 95, 97, 99}};
    for (uint64_t view = 0; view < 3; view++) {
        sample_indices(indices, 4, 100, VDT_SAMPLE_MULTI, 2, view, 3);
        assert_memory_equal(indices, expected[view], sizeof indices);
    }
    sample_indices(indices, 4, 100, VDT_SAMPLE_MULTI, 2, 0, 1); // one view is the centre
    assert_int_equal(indices[0], 46);
}

/* ---- frames -------------------------------------------------------------------------------- */

static struct {
    char file[256];
    struct decoder *decoder;
} opened;

static void frame_row(char *line) {
    char file[256];
    unsigned long long index, expected;
    double time;
    size_t width, height;
    vdt_error error = {0};
    struct frame frame;
    assert_int_equal(sscanf(line, "%255[^,],%llu,%lf,%zu,%zu,%llx", file, &index, &time, &width,
                            &height, &expected),
                     6);
    if (strcmp(file, opened.file) != 0) {
        decoder_close(&opened.decoder);
        memcpy(opened.file, file, sizeof file);
        if (decoder_open(&opened.decoder, test_memory(), source_path(file), NULL, &error))
            fail_msg("%s", error.message);
    }
    if (opened.decoder->functions->next(opened.decoder, &frame, &error))
        fail_msg("%s: %s", line, error.message);
    assert_int_equal(frame.index, index);
    assert_int_equal(frame.width, width);
    assert_int_equal(frame.height, height);
    uint64_t hash = FNV_START;
    for (size_t y = 0; y < height; y++)
        hash = fnv1a(hash, frame.pixels + y * frame.row_stride, 3 * width);
    if (hash != expected) fail_msg("other bytes: %s", line);
}

static void frames_equal_pyav(void **state) {
    (void)state;
    assert_in_range(for_each_row(source_path("tests/vectors/frames.csv"), frame_row), 100, 100000);
    decoder_close(&opened.decoder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resize_equals_pillow),
        cmocka_unit_test(sampling_equals_numpy),
        cmocka_unit_test(views_cover_the_video),
        cmocka_unit_test(frames_equal_pyav),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
