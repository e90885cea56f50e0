// The reader: which frames each sampling takes, items in order, errors between good inputs, memory
// that does not grow, and an end at any moment.
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/checked.h"
#include "make_media.h"
#include "scratch.h"
#include "support.h"
#include "video/reader.h"

/* ---- memory that is counted ---------------------------------------------------------------- */

static struct counted { atomic_size_t blocks, bytes, peak; } counted;

static void *count_allocate(void *user, size_t bytes) {
    (void)user;
    const size_t now = atomic_fetch_add(&counted.bytes, bytes) + bytes;
    size_t peak = atomic_load(&counted.peak);
    while (now > peak && !atomic_compare_exchange_weak(&counted.peak, &peak, now)) continue;
    atomic_fetch_add(&counted.blocks, 1);
    return aligned_alloc(64, (bytes + 63) / 64 * 64);
}

static void count_release(void *user, void *pointer, size_t bytes) {
    (void)user;
    atomic_fetch_sub(&counted.bytes, bytes);
    atomic_fetch_sub(&counted.blocks, 1);
    free(pointer);
}

/* ---- a reader without a model -------------------------------------------------------------- */

enum { WIDTH = 64, HEIGHT = 48, RATE = 4 };

// Clips of pictures as they are: nothing is resized where the shorter side has the clip's size.
static struct reader_target make_target(size_t frames, size_t height, size_t width) {
    static struct memory memory = {{count_allocate, count_release, NULL}};
    static struct kernels kernels;
    static struct processor processor;
    kernels_init(&kernels, VDT_CPU_C);
    processor = (struct processor){.resize = RESIZE_SHORTEST_EDGE,
                                   .height = min_size(height, width),
                                   .width = min_size(height, width),
                                   .resample = RESAMPLE_BILINEAR,
                                   .crop = true,
                                   .crop_height = height,
                                   .crop_width = width,
                                   .scale = 1.0,
                                   .std = {1.0, 1.0, 1.0}};
    return (struct reader_target){.memory = &memory,
                                  .kernels = &kernels,
                                  .processor = &processor,
                                  .frames = frames,
                                  .height = height,
                                  .width = width,
                                  .rate = RATE,
                                  .threads = 3};
}

static vdt_reader *open_reader(const struct reader_target *target, const char *const *inputs,
                               size_t n, const vdt_reader_options *options) {
    vdt_reader *reader = NULL;
    vdt_error error = {0};
    if (reader_open(&reader, target, inputs, n, options, &error)) fail_msg("%s", error.message);
    return reader;
}

static vdt_reader_options sampling_options(vdt_sampling_kind sampling) {
    vdt_reader_options options;
    vdt_reader_options_init(&options);
    options.sampling = sampling;
    return options;
}

static vdt_item take(vdt_reader *reader) {
    vdt_item item = {0};
    vdt_error error = {0};
    const vdt_status status = vdt_reader_next(reader, &item, &error);
    if (status) fail_msg("expected an item, found status %d %s", status, error.message);
    return item;
}

static void expect_end(vdt_reader *reader) {
    vdt_item item;
    vdt_error error = {0};
    assert_int_equal(vdt_reader_next(reader, &item, &error), VDT_END);
    assert_int_equal(vdt_reader_next(reader, &item, &error), VDT_END);
    assert_int_equal(error.status, VDT_OK);
    assert_true(vdt_reader_ready(reader));
}

static void close_reader(vdt_reader **reader) {
    vdt_reader_close(reader);
    assert_null(*reader);
    vdt_reader_close(reader);
    assert_int_equal(atomic_load(&counted.blocks), 0);
}

/* ---- which frames -------------------------------------------------------------------------- */

// The header's words once more, written apart from sample.c.
static uint64_t expected_index(vdt_sampling_kind kind, uint64_t i, uint64_t n, uint64_t rate,
                               uint64_t total, uint64_t view, uint64_t views) {
    const int64_t span = (int64_t)((n - 1) * rate + 1), room = (int64_t)total - span;
    int64_t start = room > 0 ? room / 2 : 0;
    if (kind == VDT_SAMPLE_UNIFORM) return i * total / n;
    if (kind == VDT_SAMPLE_HF_PIPELINE)
        return (uint64_t)fmin(floor((double)i * (double)(n * rate - 1) / (double)(n - 1) + 1e-9),
                              (double)(total - 1));
    if (kind == VDT_SAMPLE_MULTI && views > 1)
        start = room > 0 ? (int64_t)view * room / (int64_t)(views - 1) : 0;
    return min_size((size_t)start + i * rate, total - 1);
}

static void check_clip(const vdt_item *item, size_t i, uint64_t index, double time) {
    if (item->frames[i] != index || fabs(item->times[i] - time) > 1e-9) {
        fail_msg("input %zu clip %u view %u position %zu: expected frame %llu at %g, found %llu at "
                 "%g",
                 item->input, item->index, item->view, i, (unsigned long long)index, time,
                 (unsigned long long)item->frames[i], item->times[i]);
    }
    const int number = media_read_number(item->clip.pixels + i * item->clip.frame_stride,
                                         item->clip.row_stride, WIDTH, HEIGHT);
    if (number != (int)index)
        fail_msg("position %zu: expected picture %llu, found %d", i, (unsigned long long)index,
                 number);
}

static void test_indices(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int frames;
    } videos[] = {{"fifty.mp4", 50}, {"one.mp4", 1}, {"five.mp4", 5}, {"thirty.mkv", 30}};
    static const vdt_sampling_kind kinds[] = {VDT_SAMPLE_CENTER, VDT_SAMPLE_UNIFORM,
                                              VDT_SAMPLE_HF_PIPELINE, VDT_SAMPLE_MULTI};
    enum { VIDEOS = 4, KINDS = 4, CLIP = 8, VIEWS = 3 };
    const char *paths[VIDEOS];
    for (size_t v = 0; v < VIDEOS; v++) {
        const struct media_video video = {"mpeg4", WIDTH, HEIGHT, videos[v].frames, 12, 2, 0,
                                          false,   false, 0};
        paths[v] = scratch_path(videos[v].name);
        media_write_video(paths[v], &video);
    }
    const struct reader_target target = make_target(CLIP, HEIGHT, WIDTH);
    for (size_t k = 0; k < KINDS * 3; k++) {
        vdt_reader_options options = sampling_options(kinds[k % KINDS]);
        options.rate = (uint32_t)(k / KINDS * 3); // 0 (the target's), 3, 6
        options.views_time = VIEWS;               // for MULTI alone
        const uint64_t rate = options.rate ? options.rate : RATE;
        const uint32_t views = options.sampling == VDT_SAMPLE_MULTI ? VIEWS : 1;
        vdt_reader *reader = open_reader(&target, paths, VIDEOS, &options);
        for (size_t v = 0; v < VIDEOS; v++) {
            for (uint32_t view = 0; view < views; view++) {
                vdt_item item = take(reader);
                assert_int_equal(item.error.status, VDT_OK);
                assert_int_equal(item.input, v);
                assert_int_equal(item.index, 0);
                assert_int_equal(item.view, view);
                assert_int_equal(item.views, views);
                assert_int_equal(item.lost, 0);
                for (size_t i = 0; i < CLIP; i++) {
                    const uint64_t index = expected_index(options.sampling, i, CLIP, rate,
                                                          (uint64_t)videos[v].frames, view, views);
                    check_clip(&item, i, index, (double)index * 0.04);
                }
                vdt_reader_give(reader, &item);
                assert_null(item.slot);
            }
        }
        expect_end(reader);
        close_reader(&reader);
    }
}

// A clip begins at the first frame of every `seconds`; what the end cuts short repeats the last.
static void check_slide(const struct media_video *video, const char *path, double seconds,
                        size_t clip, uint32_t rate) {
    const struct reader_target target = make_target(clip, HEIGHT, WIDTH);
    vdt_reader_options options = sampling_options(VDT_SAMPLE_SLIDE);
    options.seconds = seconds;
    options.rate = rate;
    options.ahead = 2;
    vdt_reader *reader = open_reader(&target, &path, 1, &options);
    uint32_t clips = 0;
    double next = 0.0;
    for (int start = 0; start < video->frames; start++) {
        if ((double)media_time(video, start) * 1e-3 < next - 1e-9) continue;
        next = (floor((double)media_time(video, start) * 1e-3 / seconds + 1e-9) + 1.0) * seconds;
        vdt_item item = take(reader);
        assert_int_equal(item.error.status, VDT_OK);
        assert_int_equal(item.index, clips++);
        assert_int_equal(item.views, 1);
        for (size_t i = 0; i < clip; i++) {
            const int index = (int)min_size((size_t)start + i * rate, (size_t)video->frames - 1);
            check_clip(&item, i, (uint64_t)index, (double)media_time(video, index) * 1e-3);
        }
        vdt_reader_give(reader, &item);
    }
    expect_end(reader);
    close_reader(&reader);
}

static void test_slide(void **state) {
    (void)state;
    const struct media_video steady = {"mpeg4", WIDTH, HEIGHT, 60, 12, 2, 0, false, false, 0};
    const struct media_video variable = {"mpeg4", WIDTH, HEIGHT, 60, 12, 2, 0, true, false, 0};
    media_write_video(scratch_path("steady.mp4"), &steady);
    media_write_video(scratch_path("variable.mp4"), &variable);
    static const double seconds[] = {0.5, 0.28, 1.0, 10.0};
    for (size_t s = 0; s < 4; s++) {
        check_slide(&steady, scratch_path("steady.mp4"), seconds[s], 8, 2);
        check_slide(&variable, scratch_path("variable.mp4"), seconds[s], 8, 2);
        check_slide(&variable, scratch_path("variable.mp4"), seconds[s], 1, 1);
    }
}

// Frames that leap by 10^12 seconds, and steps far below any frame's duration: neither may count
// steps one by one.
static void test_slide_leap(void **state) {
    (void)state;
    const struct media_video video = {"ffv1", WIDTH, HEIGHT, 10,    5,
                                      0,      0,     true,   false, 1000000000000000};
    const char *path = scratch_path("leap.mkv");
    media_write_video(path, &video);
    static const double seconds[] = {1.0, 1e-9, 1e6};
    const struct reader_target target = make_target(2, HEIGHT, WIDTH);
    for (size_t s = 0; s < 3; s++) {
        vdt_reader_options options = sampling_options(VDT_SAMPLE_SLIDE);
        options.seconds = seconds[s];
        options.rate = 1;
        vdt_reader *reader = NULL;
        vdt_error error = {0};
        const int status = reader_open(&reader, &target, &path, 1, &options, &error);
        if (status) { // steps that small may be refused
            assert_int_equal(status, VDT_ERROR_ARGUMENT);
            assert_true(seconds[s] < 1e-3);
            continue;
        }
        vdt_item item;
        size_t clips = 0;
        while (vdt_reader_next(reader, &item, &error) == VDT_OK) {
            assert_int_equal(item.error.status, VDT_OK);
            vdt_reader_give(reader, &item);
            clips++;
        }
        assert_in_range(clips, 2, 10);
        close_reader(&reader);
    }
}

// The numbers of the pictures that clips of one frame show.
static void expect_numbers(const char *path, double seconds, const int *numbers, size_t n) {
    const struct reader_target target = make_target(1, HEIGHT, WIDTH);
    vdt_reader_options options = sampling_options(VDT_SAMPLE_SLIDE);
    options.seconds = seconds;
    options.rate = 1;
    vdt_reader *reader = open_reader(&target, &path, 1, &options);
    for (size_t i = 0; i < n; i++) {
        vdt_item item = take(reader);
        assert_int_equal(item.error.status, VDT_OK);
        assert_int_equal(media_read_number(item.clip.pixels, item.clip.row_stride, WIDTH, HEIGHT),
                         numbers[i]);
        vdt_reader_give(reader, &item);
    }
    expect_end(reader);
    close_reader(&reader);
}

// A recording that begins once more, with its time stamps: no frame is lost, steps go on from there.
static void test_slide_back(void **state) {
    (void)state;
    enum { FRAMES = 30 };
    const struct media_video video = {"mpeg2video", WIDTH, HEIGHT, FRAMES, 12, 0, 0,
                                      false,        false, 0};
    const char *once = scratch_path("once.ts"), *twice = scratch_path("twice.ts");
    media_write_video(once, &video);
    size_t bytes;
    uint8_t *file = scratch_read(once, &bytes);
    uint8_t *both = make_bytes(2 * bytes);
    memcpy(both, file, bytes);
    memcpy(both + bytes, file, bytes);
    scratch_write(twice, both, 2 * bytes);
    int every[2 * FRAMES];
    for (int i = 0; i < 2 * FRAMES; i++) every[i] = i % FRAMES;
    static const int steps[] = {0, 10, 20, 0, 10, 20};
    expect_numbers(twice, 0.0, every, 2 * FRAMES);
    expect_numbers(twice, 0.4, steps, 6);
    free(file);
    free(both);
}

/* ---- views --------------------------------------------------------------------------------- */

// Three crops of a picture twice as wide (or high) as the clip, without any resize, also where the
// processor would squeeze the whole picture.
static void check_crops(size_t width, size_t height, bool squeezes) {
    const char *path = scratch_path("crops.npy");
    media_write_npy(path, 3, (int)height, (int)width);
    struct reader_target target = make_target(1, 48, 48);
    struct processor processor = *target.processor;
    if (squeezes) processor.resize = RESIZE_EXACT;
    target.processor = &processor;
    vdt_reader_options options = sampling_options(VDT_SAMPLE_MULTI);
    options.views_space = 3;
    options.ahead = 1; // fewer than a view needs: the reader makes room for itself
    vdt_reader *reader = open_reader(&target, &path, 1, &options);
    uint8_t *painted = make_bytes(width * height * 3);
    media_paint(painted, (int)width, (int)height, 1);
    for (size_t view = 0; view < 3; view++) {
        vdt_item item = take(reader);
        assert_int_equal(item.error.status, VDT_OK);
        assert_int_equal(item.view, view);
        assert_int_equal(item.views, 3);
        assert_int_equal(item.frames[0], 1);
        const size_t x = (width - 48) * view / 2, y = (height - 48) * view / 2;
        for (size_t row = 0; row < 48; row++) {
            assert_memory_equal(item.clip.pixels + row * item.clip.row_stride,
                                painted + ((y + row) * width + x) * 3, 48 * 3);
        }
        vdt_reader_give(reader, &item);
    }
    expect_end(reader);
    close_reader(&reader);
    free(painted);
}

static void test_crops(void **state) {
    (void)state;
    check_crops(96, 48, false);
    check_crops(48, 96, false);
    check_crops(96, 48, true);
    check_crops(48, 96, true);
}

// Who holds fewer than `ahead` items gets the next one, also where three views are made at a time.
static void test_held_views(void **state) {
    (void)state;
    enum { AHEAD = 4, ITEMS = 9 };
    const char *paths[3];
    for (size_t i = 0; i < 3; i++) paths[i] = scratch_path("held.npy");
    media_write_npy(paths[0], 3, HEIGHT, WIDTH);
    const struct reader_target target = make_target(2, HEIGHT, WIDTH);
    vdt_reader_options options = sampling_options(VDT_SAMPLE_MULTI);
    options.views_space = 3;
    options.ahead = AHEAD;
    alarm(300); // a deadlock is the failure looked for: it must end the test
    vdt_reader *reader = open_reader(&target, paths, 3, &options);
    vdt_item held[ITEMS];
    for (size_t i = 0; i < ITEMS; i++) {
        if (i >= AHEAD) vdt_reader_give(reader, &held[i - AHEAD]);
        held[i] = take(reader);
        assert_int_equal(held[i].input, i / 3);
        assert_int_equal(held[i].view, i % 3);
    }
    for (size_t i = ITEMS - AHEAD; i < ITEMS; i++) vdt_reader_give(reader, &held[i]);
    expect_end(reader);
    close_reader(&reader);
    alarm(0);
}

/* ---- several inputs at a time -------------------------------------------------------------- */

enum { LANE_INPUTS = 24, LANE_ITEMS = 512 };

// What an item is, and what its first frame shows.
struct record {
    size_t input;
    uint32_t index, view;
    int status, number;
};

// Reads everything, always holding as many items as leaves one to be taken.
static size_t read_all(struct record *records, const char *const *paths, vdt_sampling_kind kind,
                       uint32_t ahead, uint32_t threads) {
    const struct reader_target target = make_target(2, HEIGHT, WIDTH);
    vdt_reader_options options = sampling_options(kind);
    options.views_space = kind == VDT_SAMPLE_MULTI ? 3 : 1;
    options.seconds = 0.1;
    options.ahead = ahead;
    options.threads = threads;
    vdt_reader *reader = open_reader(&target, paths, LANE_INPUTS, &options);
    vdt_item items[LANE_ITEMS];
    size_t n = 0;
    while (n < LANE_ITEMS && vdt_reader_next(reader, &items[n], NULL) == VDT_OK) {
        const vdt_item *item = &items[n];
        const uint8_t *pixels = item->clip.pixels;
        records[n] = (struct record){
            item->input, item->index, item->view, (int)item->error.status,
            pixels ? media_read_number(pixels, item->clip.row_stride, WIDTH, HEIGHT) : -2};
        n++;
        if (n >= ahead) vdt_reader_give(reader, &items[n - ahead]);
    }
    for (size_t i = n >= ahead ? n - ahead + 1 : 0; i < n; i++) vdt_reader_give(reader, &items[i]);
    expect_end(reader);
    close_reader(&reader);
    return n;
}

// The same items in the same order however many inputs are read at a time, whatever is held.
static void test_lanes(void **state) {
    (void)state;
    static const vdt_sampling_kind kinds[] = {VDT_SAMPLE_CENTER, VDT_SAMPLE_MULTI,
                                              VDT_SAMPLE_SLIDE};
    static struct record expected[LANE_ITEMS], found[LANE_ITEMS];
    char names[LANE_INPUTS][32];
    const char *paths[LANE_INPUTS];
    struct media_video video = {"mpeg4", WIDTH, HEIGHT, 20, 12, 2, 0, false, false, 0};
    char copies[LANE_INPUTS][1200];
    for (int i = 0; i < LANE_INPUTS; i++) {
        snprintf(names[i], sizeof names[i], i % 3 == 0 ? "lane%d.mp4" : "lane%d.npy", i);
        snprintf(copies[i], sizeof copies[i], "%s", scratch_path(names[i]));
        paths[i] = copies[i];
        video.frames = 5 + 7 * i % 60;
        if (i % 3 == 0) media_write_video(paths[i], &video);
        if (i % 3 == 1) media_write_npy(paths[i], 1 + 5 * i % 17, HEIGHT, WIDTH);
    }           // the rest is missing
    alarm(300); // a deadlock is the failure looked for: it must end the test
    for (size_t k = 0; k < 3; k++) {
        const size_t n = read_all(expected, paths, kinds[k], 4, 1);
        assert_in_range(n, LANE_INPUTS, LANE_ITEMS - 1);
        for (uint32_t threads = 2; threads <= 5; threads++) {
            for (uint32_t ahead = 1; ahead <= 5; ahead += 2) {
                assert_int_equal(read_all(found, paths, kinds[k], ahead, threads), n);
                assert_memory_equal(found, expected, n * sizeof *found);
            }
        }
    }
    alarm(0);
}

/* ---- errors between good inputs ------------------------------------------------------------ */

static void test_failing_inputs(void **state) {
    (void)state;
    enum { INPUTS = 7 };
    const char *paths[INPUTS] = {scratch_path("good.npy"),   scratch_path("missing.mp4"),
                                 scratch_path("good.npy"),   scratch_path("empty.mp4"),
                                 scratch_path("broken_dir"), scratch_path("sound.wav"),
                                 scratch_path("good.npy")};
    static const int statuses[INPUTS] = {
        VDT_OK, VDT_ERROR_IO, VDT_OK, VDT_ERROR_FORMAT, VDT_ERROR_FORMAT, VDT_ERROR_FORMAT, VDT_OK};
    static const vdt_sampling_kind kinds[] = {VDT_SAMPLE_CENTER, VDT_SAMPLE_MULTI,
                                              VDT_SAMPLE_SLIDE};
    char broken[1200];
    media_write_npy(paths[0], 4, HEIGHT, WIDTH);
    scratch_write(paths[3], "", 0);
    media_write_directory(paths[4], 2, WIDTH, HEIGHT);
    snprintf(broken, sizeof broken, "%s/frame1.png", paths[4]);
    scratch_write(broken, "broken", 6);
    media_write_wav(paths[5]);
    const struct reader_target target = make_target(2, HEIGHT, WIDTH);
    for (size_t k = 0; k < 3; k++) {
        const vdt_reader_options options = sampling_options(kinds[k]);
        vdt_reader *reader = open_reader(&target, paths, INPUTS, &options);
        for (size_t i = 0; i < INPUTS; i++) {
            vdt_item item = take(reader);
            assert_int_equal(item.input, i);
            assert_int_equal(item.error.status, statuses[i]);
            if (statuses[i]) {
                assert_non_null(strstr(item.error.message, paths[i]));
                assert_null(item.clip.pixels);
            }
            vdt_reader_give(reader, &item);
        }
        expect_end(reader);
        close_reader(&reader);
    }
}

// Frames that a cut file promised and does not hold are said with every clip.
static void test_lost(void **state) {
    (void)state;
    const struct media_video video = {"mpeg4", WIDTH, HEIGHT, 50, 6, 2, 0, false, true, 0};
    const char *path = scratch_path("cut.mp4");
    media_write_video(path, &video);
    size_t n;
    uint8_t *bytes = scratch_read(path, &n);
    scratch_write(path, bytes, n * 7 / 10);
    free(bytes);
    const struct reader_target target = make_target(4, HEIGHT, WIDTH);
    const vdt_reader_options options = sampling_options(VDT_SAMPLE_UNIFORM);
    vdt_reader *reader = open_reader(&target, &path, 1, &options);
    vdt_item item = take(reader);
    assert_int_equal(item.error.status, VDT_OK);
    assert_in_range(item.lost, 1, 49);
    const uint64_t total = 50 - item.lost;
    for (uint64_t i = 0; i < 4; i++) assert_int_equal(item.frames[i], i * total / 4);
    vdt_reader_give(reader, &item);
    expect_end(reader);
    close_reader(&reader);
}

/* ---- memory -------------------------------------------------------------------------------- */

// Reads everything and returns the most bytes that were held at a time.
static size_t peak_of(const char *path, vdt_sampling_kind kind) {
    const struct reader_target target = make_target(4, HEIGHT, WIDTH);
    vdt_reader_options options = sampling_options(kind);
    options.seconds = 0.2;
    options.rate = 2;
    options.ahead = 3;
    atomic_store(&counted.peak, 0);
    vdt_reader *reader = open_reader(&target, &path, 1, &options);
    vdt_item item;
    while (vdt_reader_next(reader, &item, NULL) == VDT_OK) {
        assert_int_equal(item.error.status, VDT_OK);
        vdt_reader_give(reader, &item);
    }
    close_reader(&reader);
    return atomic_load(&counted.peak);
}

static void test_memory_bound(void **state) {
    (void)state;
    struct media_video video = {"mpeg4", WIDTH, HEIGHT, 20, 12, 2, 0, false, false, 0};
    media_write_video(scratch_path("short.mp4"), &video);
    video.frames = 250;
    media_write_video(scratch_path("long.mp4"), &video);
    // Sliding reads without an index: not a byte more. An index is 16 bytes a frame at most, and
    // twice that while it grows.
    assert_int_equal(peak_of(scratch_path("long.mp4"), VDT_SAMPLE_SLIDE),
                     peak_of(scratch_path("short.mp4"), VDT_SAMPLE_SLIDE));
    assert_in_range(peak_of(scratch_path("long.mp4"), VDT_SAMPLE_CENTER), 1,
                    peak_of(scratch_path("short.mp4"), VDT_SAMPLE_CENTER) + 250 * 64);
}

// `ahead` items may be held; one more is the caller's mistake, and a slot given back cures it.
static void test_held(void **state) {
    (void)state;
    const char *paths[5];
    for (size_t i = 0; i < 5; i++) paths[i] = scratch_path("held.npy");
    media_write_npy(paths[0], 3, HEIGHT, WIDTH);
    const struct reader_target target = make_target(2, HEIGHT, WIDTH);
    vdt_reader_options options = sampling_options(VDT_SAMPLE_CENTER);
    options.ahead = 2;
    vdt_reader *reader = open_reader(&target, paths, 5, &options);
    vdt_item first = take(reader), second = take(reader), third = {.input = 77};
    vdt_error error = {0};
    assert_int_equal(vdt_reader_next(reader, &third, &error), VDT_ERROR_ARGUMENT);
    assert_int_equal(third.input, 77);
    assert_ptr_not_equal(first.clip.pixels, second.clip.pixels);
    vdt_reader_give(reader, &first);
    vdt_reader_give(reader, &first); // nothing left to give
    third = take(reader);
    assert_int_equal(third.input, 2);
    assert_int_equal(second.input, 1);
    vdt_reader_give(reader, &second);
    close_reader(&reader); // with an item still out
}

/* ---- an end at any moment ------------------------------------------------------------------ */

enum { MANY = 3000 };

static vdt_reader *open_many(vdt_sampling_kind kind) {
    static const char *paths[MANY];
    const struct media_video video = {"mpeg4", WIDTH, HEIGHT, 40, 12, 2, 0, false, false, 0};
    const char *path = scratch_path("many.mp4");
    media_write_video(path, &video);
    for (size_t i = 0; i < MANY; i++) paths[i] = path;
    const struct reader_target target = make_target(4, HEIGHT, WIDTH);
    vdt_reader_options options = sampling_options(kind);
    options.seconds = 0.1;
    return open_reader(&target, paths, MANY, &options);
}

static void *cancel(void *reader) {
    vdt_reader_cancel(reader);
    return NULL;
}

static void test_cancel(void **state) {
    (void)state;
    static const vdt_sampling_kind kinds[] = {VDT_SAMPLE_CENTER, VDT_SAMPLE_SLIDE};
    for (size_t k = 0; k < 2; k++) {
        vdt_reader *reader = open_many(kinds[k]);
        vdt_item item = take(reader);
        vdt_reader_give(reader, &item);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, cancel, reader), 0);
        vdt_error error = {0};
        int status;
        while ((status = vdt_reader_next(reader, &item, &error)) == VDT_OK)
            vdt_reader_give(reader, &item);
        assert_int_equal(status, VDT_ERROR_CANCELLED); // long before MANY inputs are read
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(vdt_reader_next(reader, &item, &error), VDT_ERROR_CANCELLED);
        close_reader(&reader);
    }
}

static void test_close(void **state) {
    (void)state;
    for (size_t taken = 0; taken < 6; taken++) {
        vdt_reader *reader = open_many(taken % 2 ? VDT_SAMPLE_SLIDE : VDT_SAMPLE_CENTER);
        for (size_t i = 0; i < taken; i++) {
            vdt_item item = take(reader);
            vdt_reader_give(reader, &item);
        }
        close_reader(&reader);
    }
}

/* ---- options ------------------------------------------------------------------------------- */

static void expect_refused(const vdt_reader_options *options) {
    const char *path = "unused";
    vdt_reader *reader = NULL;
    vdt_error error = {0};
    const struct reader_target target = make_target(2, HEIGHT, WIDTH);
    assert_int_equal(reader_open(&reader, &target, &path, 1, options, &error), VDT_ERROR_ARGUMENT);
    assert_int_equal(error.status, VDT_ERROR_ARGUMENT);
    assert_null(reader);
    assert_int_equal(atomic_load(&counted.blocks), 0);
}

static void test_options(void **state) {
    (void)state;
    const vdt_reader_options good = sampling_options(VDT_SAMPLE_CENTER);
    enum { BAD = 13 };
    vdt_reader_options bad[BAD];
    for (size_t i = 0; i < BAD; i++) bad[i] = good;
    bad[0].abi = VDT_ABI + 1;
    bad[1].ahead = 0;
    bad[2].ahead = 4097;
    bad[3].rate = 100001;
    bad[4].sampling = (vdt_sampling_kind)99;
    bad[5].views_time = 0;
    bad[6].views_time = 101;
    bad[7].views_space = 2;
    bad[8].seconds = 1e-4;
    bad[9].seconds = -1.0;
    bad[10].seconds = (double)NAN;
    bad[11].seconds = (double)INFINITY;
    bad[12].threads = 65;
    for (size_t i = 0; i < BAD; i++) expect_refused(&bad[i]);
    const struct reader_target target = make_target(2, HEIGHT, WIDTH);
    vdt_reader *reader = open_reader(&target, NULL, 0, NULL); // no inputs: the end at once
    expect_end(reader);
    close_reader(&reader);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_indices),    cmocka_unit_test(test_slide),
        cmocka_unit_test(test_slide_leap), cmocka_unit_test(test_slide_back),
        cmocka_unit_test(test_crops),      cmocka_unit_test(test_failing_inputs),
        cmocka_unit_test(test_lost),       cmocka_unit_test(test_memory_bound),
        cmocka_unit_test(test_held),       cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_close),      cmocka_unit_test(test_options),
        cmocka_unit_test(test_held_views), cmocka_unit_test(test_lanes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
