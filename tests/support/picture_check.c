// What the test of vidette view wants to know of pictures and videos:
//
//     picture_check clip FRAMES FILE.npy       writes a clip of 32 x 32 whose patches of 8 x 8 are flat, some
//                                              still for up to four tubelets of two frames
//     picture_check still FRAMES FILE.npy      the same, but its first frame again and again
//     picture_check size FILE.png              checks signature and header by hand; prints width and height
//     picture_check sheet FILE.png PREFIX KEPT MERGED < line of --indices
//                                              checks each pixel of the panels of that clip; the sheet has a
//                                              section of kept and of merged tokens where these are 1
//     picture_check stream FILE.png GRID BLOCKS PREFIX WHICH < lines of --json
//                                              checks the page of a stream over a model with GRID x GRID patches.
//                                              WHICH: the clip of `clip` or `still` with threshold:0, whose pixels
//                                              are checked too; or `other`
//     picture_check movie FILE X Y SIDE        prints frames, width, height, then each frame's mean grey in
//                                              that square
#include <jansson.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void require(bool condition, const char *what) {
    if (condition) return;
    fprintf(stderr, "picture_check: expected %s\n", what);
    exit(1);
}

/* ---- the clip ------------------------------------------------------------------------------ */

enum { GRID = 4, PATCH = 8, PIXELS = GRID * PATCH, PLACES = GRID * GRID, TUBELET = 2 };
enum { COUNTING = 3 }; // the place whose grey counts frames; the others are still within a tubelet

static bool still; // whether the clip stands still

static void paint(int frame, int place, int rgb[3]) {
    if (still) frame = 0;
    const int run = (frame / TUBELET + place) / (1 + place % 4);
    for (int c = 0; c < 3; c++)
        rgb[c] = place == COUNTING ? 10 + 15 * frame : (97 * run + 53 * place + 71 * c + 40) % 256;
}

static void write_clip(int frames, const char *path) {
    char header[128];
    FILE *file = fopen(path, "wb");
    require(file != NULL, "a file that can be written");
    const int n = snprintf(header, sizeof header,
                           "\x93NUMPY\x01%cv%c{'descr': '|u1', 'fortran_order': False, 'shape': "
                           "(%d, %d, %d, 3), }",
                           0, 0, frames, PIXELS, PIXELS);
    memset(header + n, ' ', sizeof header - (size_t)n);
    header[sizeof header - 1] = '\n';
    fwrite(header, 1, sizeof header, file);
    for (int i = 0; i < frames * PIXELS * PIXELS; i++) {
        const int x = i % PIXELS, y = i / PIXELS % PIXELS, frame = i / (PIXELS * PIXELS);
        int rgb[3];
        paint(frame, y / PATCH * GRID + x / PATCH, rgb);
        for (int c = 0; c < 3; c++) fputc(rgb[c], file);
    }
    require(fclose(file) == 0, "a file that can be written");
}

/* ---- files --------------------------------------------------------------------------------- */

struct image {
    int width, height;
    uint8_t *rgb;
};

static unsigned big_endian(const uint8_t *bytes) {
    return (unsigned)bytes[0] << 24 | (unsigned)bytes[1] << 16 | (unsigned)bytes[2] << 8 | bytes[3];
}

static void print_size(const char *path) {
    static const uint8_t begins[16] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n',
                                       0,    0,   0,   13,  'I',  'H',  'D',  'R'};
    uint8_t head[29];
    FILE *file = fopen(path, "rb");
    require(file && fread(head, sizeof head, 1, file) == 1, "a file of some bytes");
    fclose(file);
    require(memcmp(head, begins, sizeof begins) == 0, "the signature of PNG and its header");
    require(head[24] == 8 && head[25] == 2, "8 bits and three channels");
    printf("%u %u\n", big_endian(head + 16), big_endian(head + 20));
}

static void convert(const AVFrame *frame, struct image *image) {
    image->width = frame->width;
    image->height = frame->height;
    image->rgb = realloc(image->rgb, (size_t)3 * frame->width * frame->height);
    struct SwsContext *scaler =
        sws_getContext(frame->width, frame->height, frame->format, frame->width, frame->height,
                       AV_PIX_FMT_RGB24, SWS_BICUBIC, NULL, NULL, NULL);
    require(image->rgb && scaler, "memory");
    uint8_t *planes[1] = {image->rgb};
    const int strides[1] = {3 * frame->width};
    sws_scale(scaler, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height,
              planes, strides);
    sws_freeContext(scaler);
}

// Calls `each` for every frame of a picture or a video.
static int decode(const char *path, void (*each)(const struct image *image, void *user),
                  void *user) {
    AVFormatContext *format = NULL;
    av_log_set_level(AV_LOG_ERROR);
    require(avformat_open_input(&format, path, NULL, NULL) >= 0, "a file that opens");
    require(avformat_find_stream_info(format, NULL) >= 0, "a file with streams");
    const AVCodecParameters *parameters = format->streams[0]->codecpar;
    AVCodecContext *codec = avcodec_alloc_context3(avcodec_find_decoder(parameters->codec_id));
    AVPacket *packet = av_packet_alloc();
    AVFrame *frame = av_frame_alloc();
    require(codec && packet && frame && avcodec_parameters_to_context(codec, parameters) >= 0 &&
                avcodec_open2(codec, NULL, NULL) >= 0,
            "a decoder");
    struct image image = {0};
    int frames = 0;
    for (bool more = true; more;) {
        more = av_read_frame(format, packet) >= 0;
        require(avcodec_send_packet(codec, more ? packet : NULL) >= 0, "a packet that decodes");
        for (; avcodec_receive_frame(codec, frame) >= 0; frames++) {
            convert(frame, &image);
            each(&image, user);
        }
        av_packet_unref(packet);
    }
    free(image.rgb);
    av_frame_free(&frame);
    av_packet_free(&packet);
    avcodec_free_context(&codec);
    avformat_close_input(&format);
    return frames;
}

/* ---- the sheet ----------------------------------------------------------------------------- */

// Where panels of a model with 4 x 4 patches stand, and how: what tools/sheet.c plans.
enum { LEFT = 24, TOP = 158, RIGHT = 120, DOWN = 172, CELL = 28, MOST_STEPS = 8 };
enum { CELLS = MOST_STEPS * PLACES };

struct clip {
    int prefix, steps;
    bool kept, merged;
    int length[CELLS]; // 0: dropped
    int row[CELLS];    // after the last block, of kept ones
    int sums[CELLS + 1][3], members[CELLS + 1];
    int tints[MOST_STEPS + 1][3]; // seen for a run length; -1: not yet
};

static int member(const json_t *line, const char *key, size_t i) {
    const json_t *value = json_array_get(json_object_get(line, key), i);
    require(json_is_integer(value), "a line of --indices");
    return (int)json_integer_value(value);
}

static void read_indices(struct clip *clip) {
    json_t *line = json_loadf(stdin, 0, NULL);
    const size_t kept = json_array_size(json_object_get(line, "kept"));
    require(kept > 0, "a line of --indices");
    for (size_t i = 0; i < kept; i++) {
        const int cell = member(line, "kept", i) - clip->prefix;
        if (cell < 0) continue;
        require(cell < CELLS, "a clip of 8 tubelets of 16 places");
        const int row = clip->row[cell] = member(line, "source", i);
        clip->length[cell] = member(line, "lengths", i);
        if (cell / PLACES >= clip->steps) clip->steps = cell / PLACES + 1;
        clip->members[row]++;
        for (int frame = 0; frame < TUBELET; frame++) {
            int rgb[3];
            paint(cell / PLACES * TUBELET + frame, cell % PLACES, rgb);
            for (int c = 0; c < 3; c++) clip->sums[row][c] += rgb[c];
        }
    }
    json_decref(line);
}

static const uint8_t *at(const struct image *image, int section, int cell, int x, int y) {
    x += LEFT + cell / PLACES * RIGHT + cell % GRID * CELL;
    y += TOP + section * DOWN + cell % PLACES / GRID * CELL;
    require(x < image->width && y < image->height, "a larger sheet");
    return image->rgb + 3 * ((size_t)y * image->width + x);
}

static int luma(const uint8_t *p) {
    return (299 * p[0] + 587 * p[1] + 114 * p[2]) / 1000;
}

static bool dark(const uint8_t *pixel, const uint8_t *shown) {
    return pixel[0] == pixel[1] && pixel[1] == pixel[2] && 3 * luma(pixel) <= luma(shown) + 3;
}

static void check_frame(const struct image *image, int cell) {
    int rgb[3];
    paint(cell / PLACES * TUBELET, cell % PLACES, rgb);
    for (int c = 0; c < 3; c++)
        require(at(image, 0, cell, CELL / 2, CELL / 2)[c] == rgb[c], "the frame's own colour");
}

// Dropped cells are dark; kept ones are 9 parts of the frame and 7 of a tint that only their length decides.
static void check_kept(const struct image *image, struct clip *clip, int cell) {
    for (int i = 0; i < CELL * CELL; i++) {
        const uint8_t *shown = at(image, 0, cell, i % CELL, i / CELL);
        const uint8_t *pixel = at(image, 1, cell, i % CELL, i / CELL);
        if (clip->length[cell] == 0) {
            require(dark(pixel, shown), "a dropped cell to be dark");
            continue;
        }
        for (int c = 0; c < 3; c++) {
            const int tint = 16 * pixel[c] - 9 * shown[c];
            int *seen = &clip->tints[clip->length[cell]][c];
            if (*seen < 0) *seen = tint;
            require(abs(tint - *seen) <= 16, "kept cells of a length to have one tint");
            require(tint >= -8 && tint <= 7 * 255 + 8, "a kept cell to show its frame");
        }
    }
}

static void check_tints(const struct clip *clip) {
    int last[3] = {-1, -1, -1};
    for (int length = 1; length <= MOST_STEPS; length++) {
        const int *tint = clip->tints[length];
        if (tint[0] < 0) continue;
        require(last[0] < 0 ||
                    2 * last[0] + 5 * last[1] + last[2] > 2 * tint[0] + 5 * tint[1] + tint[2] + 32,
                "longer runs to be darker");
        memcpy(last, tint, sizeof last);
    }
}

static bool is_merged(const struct clip *clip, int cell) {
    return clip->length[cell] > 0 && clip->members[clip->row[cell]] > 1;
}

static bool same_group(const struct clip *clip, int cell, int dx, int dy) {
    const int x = cell % GRID + dx, y = cell % PLACES / GRID + dy, other = cell + dx + dy * GRID;
    if (x < 0 || y < 0 || x >= GRID || y >= GRID) return false;
    return is_merged(clip, other) && clip->row[other] == clip->row[cell];
}

static void check_group(const struct image *image, const struct clip *clip, int cell) {
    const int row = clip->row[cell], n = clip->members[row] * TUBELET;
    uint8_t mean[3];
    for (int c = 0; c < 3; c++) mean[c] = (uint8_t)((clip->sums[row][c] + n / 2) / n);
    for (int i = 0; i < CELL * CELL; i++) {
        const int x = i % CELL, y = i / CELL;
        const bool inside = x > 0 && y > 0 && x + 1 < CELL && y + 1 < CELL;
        const bool same = memcmp(at(image, 2 - !clip->kept, cell, x, y), mean, 3) == 0;
        require(!inside || same, "a merged cell to have its group's mean colour");
    }
    const uint8_t *left = at(image, 2 - !clip->kept, cell, 0, CELL / 2);
    const uint8_t *top = at(image, 2 - !clip->kept, cell, CELL / 2, 0);
    require((memcmp(left, mean, 3) == 0) == same_group(clip, cell, -1, 0),
            "an outline on the left");
    require((memcmp(top, mean, 3) == 0) == same_group(clip, cell, 0, -1), "an outline above");
}

static void check_merged(const struct image *image, const struct clip *clip, int cell) {
    if (is_merged(clip, cell)) {
        check_group(image, clip, cell);
        return;
    }
    for (int i = 0; i < CELL * CELL; i++) {
        const uint8_t *shown = at(image, 0, cell, i % CELL, i / CELL);
        const uint8_t *pixel = at(image, 2 - !clip->kept, cell, i % CELL, i / CELL);
        if (clip->length[cell] == 0)
            require(dark(pixel, shown), "a dropped cell to be dark");
        else
            require(memcmp(pixel, shown, 3) == 0, "a cell that is not merged to be as it was");
    }
}

static void check_sheet(const struct image *image, void *user) {
    struct clip *clip = user;
    int dropped = 0, merged = 0;
    for (int cell = 0; cell < clip->steps * PLACES; cell++) {
        check_frame(image, cell);
        if (clip->kept) check_kept(image, clip, cell);
        if (clip->merged) check_merged(image, clip, cell);
        dropped += clip->length[cell] == 0;
        merged += is_merged(clip, cell);
    }
    check_tints(clip);
    printf("%d dropped, %d merged\n", dropped, merged);
}

/* ---- the page of a stream ------------------------------------------------------------------ */

// Where things stand, from what tools/sheet.c, update_panel.c and curve.c plan.
enum { SECTION = 22 + 24 + 14, CHOSEN = 4, CURVE_LEFT = 76, CURVE_WIDTH = 900, CURVE_HEIGHT = 130 };
enum { MOST_LINES = 64, MOST_GATES = 64, LABEL = 14, BELOW = 8, SPARE = 4 };

struct stream {
    int grid, blocks, prefix, lines;
    bool painted;
    int changed[MOST_LINES], updated[MOST_LINES][MOST_GATES];
    double cost[MOST_LINES]; // of dense
    int tints[MOST_GATES + 1][3];
};

static void read_stream(struct stream *stream) {
    json_t *line;
    for (; (line = json_loadf(stdin, JSON_DISABLE_EOF_CHECK, NULL)); json_decref(line)) {
        const json_t *tokens = json_object_get(line, "tokens"),
                     *macs = json_object_get(line, "macs");
        if (!tokens) continue;
        const int i = stream->lines++;
        require(i < MOST_LINES, "fewer lines");
        stream->changed[i] = (int)json_integer_value(json_object_get(tokens, "changed"));
        for (int gate = 0; gate < 3 * stream->blocks; gate++)
            stream->updated[i][gate] = member(tokens, "updated", (size_t)gate);
        stream->cost[i] = json_number_value(json_object_get(macs, "done")) /
                          json_number_value(json_object_get(macs, "dense"));
    }
    require(stream->lines > 0, "lines of --json");
}

// The frame that column i shows: the middle of a quarter of those that were kept.
static int chosen(const struct stream *stream, int i) {
    int stride = 1;
    while ((stream->lines + stride - 1) / stride > 16) stride *= 2;
    const int kept = (stream->lines + stride - 1) / stride;
    return kept <= CHOSEN ? i * stride : (2 * i + 1) * kept / (2 * CHOSEN) * stride;
}

static const uint8_t *pixel_at(const struct image *image, int x, int y) {
    require(x >= 0 && y >= 0 && x < image->width && y < image->height, "a larger page");
    return image->rgb + 3 * ((size_t)y * image->width + x);
}

// How many of a block's gates passed a cell, as its ink says.
static int gates_at(const struct image *image, int x, int y) {
    static const uint8_t inks[4][3] = {
        {0x24, 0x28, 0x2e}, {0x9b, 0x1c, 0x83}, {0xfd, 0x6e, 0x30}, {0xfc, 0xee, 0x28}};
    int gates = 0;
    while (gates < 4 && memcmp(pixel_at(image, x, y), inks[gates], 3) != 0) gates++;
    require(gates < 4, "the ink of 0 to 3 gates");
    return gates;
}

struct page {
    int cell, side, pitch;                     // of a panel
    int updated, blocks, curve;                // rows at which these begin
    int across, map, map_pitch_x, map_pitch_y; // of a block's map
};

static struct page plan_page(const struct stream *stream) {
    struct page page = {.cell = (952 - 3 * 8) / CHOSEN / stream->grid, .across = 1};
    page.side = page.cell * stream->grid;
    page.pitch = (952 - page.side) / (CHOSEN - 1);
    page.updated = TOP + page.side + SECTION;
    page.blocks = page.updated + page.side + SECTION;
    while (page.across * page.across < stream->blocks) page.across++;
    const int down = (stream->blocks + page.across - 1) / page.across;
    page.map = (page.side - (page.across - 1) * SPARE) / page.across / stream->grid * stream->grid;
    page.map_pitch_x = page.across > 1 ? (page.side - page.map) / (page.across - 1) : 0;
    page.map_pitch_y = LABEL + page.map + BELOW;
    page.curve = page.blocks + down * page.map_pitch_y - BELOW + SECTION;
    return page;
}

// Adds up a column's maps, each of which must hold what its gates are reported to have passed. `first`: that of
// block 1.
static void check_maps(const struct image *image, const struct stream *stream,
                       const struct page *page, int column, int blocks_of[PLACES * 4],
                       int first[PLACES * 4]) {
    const int size = page->map / stream->grid, frame = chosen(stream, column);
    for (int block = 0; block < stream->blocks; block++) {
        const int x = LEFT + column * page->pitch + block % page->across * page->map_pitch_x;
        const int y = page->blocks + LABEL + block / page->across * page->map_pitch_y;
        int sum = 0, told = 0;
        for (int cell = 0; cell < stream->grid * stream->grid; cell++) {
            const int left = x + cell % stream->grid * size, top = y + cell / stream->grid * size;
            const int gates = gates_at(image, left, top);
            require(gates == gates_at(image, left + size - 1, top + size - 1), "cells of one ink");
            blocks_of[cell] += gates > 0;
            if (block == 0) first[cell] = gates;
            sum += gates;
        }
        for (int gate = 3 * block; gate < 3 * block + 3; gate++)
            told += stream->updated[frame][gate];
        require(sum <= told && told <= sum + 3 * stream->prefix, "maps to hold what is told");
    }
}

static void grey_of(const int rgb[3], uint8_t grey[3]) {
    memset(grey, (77 * rgb[0] + 150 * rgb[1] + 29 * rgb[2]) >> 8, 3);
}

// Beyond the edge, where a patch runs into its neighbours, and its outline.
static bool is_inside(const struct page *page, int x, int y) {
    const int edge = page->cell / PATCH / 2 + 2;
    return x >= edge && y >= edge && x + edge < page->cell && y + edge < page->cell;
}

// A patch whose bytes differ from the frame before it shows; others are dark. Returns whether it does.
static bool check_changed(const struct image *image, const struct page *page, int column, int cell,
                          int frame) {
    int now[3], before[3];
    paint(frame, cell, now);
    paint(frame > 0 ? frame - 1 : 0, cell, before);
    const uint8_t shown[3] = {(uint8_t)now[0], (uint8_t)now[1], (uint8_t)now[2]};
    const bool lit = frame == 0 || memcmp(now, before, sizeof now) != 0;
    const int x = LEFT + column * page->pitch + cell % GRID * page->cell,
              y = TOP + cell / GRID * page->cell;
    for (int i = 0; i < page->cell * page->cell; i++) {
        const int px = i % page->cell, py = i / page->cell;
        const uint8_t *pixel = pixel_at(image, x + px, y + py);
        if (!is_inside(page, px, py)) continue;
        if (lit)
            require(memcmp(pixel, shown, 3) == 0, "a changed patch to be as it is");
        else
            require(dark(pixel, shown), "a patch that stands still to be dark");
    }
    return lit;
}

// Dark where no block computed the patch, else 3 parts of its grey and 13 of a tint that only their number decides.
static void check_heat(const struct image *image, struct stream *stream, const struct page *page,
                       int column, int cell, int blocks) {
    int rgb[3], frame = chosen(stream, column);
    uint8_t grey[3];
    paint(frame, cell, rgb);
    for (int c = 0; c < 3; c++) rgb[c] &= 255;
    grey_of(rgb, grey);
    for (int i = 0; i < page->cell * page->cell; i++) {
        const int px = i % page->cell, py = i / page->cell;
        const uint8_t *pixel =
            pixel_at(image, LEFT + column * page->pitch + cell % GRID * page->cell + px,
                     page->updated + cell / GRID * page->cell + py);
        if (!is_inside(page, px, py)) continue;
        if (blocks == 0) require(dark(pixel, grey), "a patch that no block computed to be dark");
        for (int c = 0; c < 3 && blocks > 0; c++) {
            const int tint = 16 * pixel[c] - 3 * grey[c];
            int *seen = &stream->tints[blocks][c];
            if (*seen < 0) *seen = tint;
            require(abs(tint - *seen) <= 24, "patches of as many blocks to have one tint");
        }
    }
}

// The dot of a frame stands at its cost.
static void check_cost(const struct image *image, const struct stream *stream,
                       const struct page *page, int frame) {
    static const uint8_t accent[3] = {0x3b, 0x5b, 0xdb};
    double top = 1.0;
    for (int i = 0; i < stream->lines; i++) top = stream->cost[i] > top ? stream->cost[i] : top;
    const int x = CURVE_LEFT + (int)((frame + 0.5) * CURVE_WIDTH / stream->lines);
    const int y = page->curve + (int)(CURVE_HEIGHT * (1.0 - stream->cost[frame] / (1.2 * top)));
    require(memcmp(pixel_at(image, x, y), accent, 3) == 0, "a dot at the frame's cost");
    require(memcmp(pixel_at(image, x, y - 7), accent, 3) != 0, "nothing above it");
}

static void check_stream(const struct image *image, void *user) {
    struct stream *stream = user;
    const struct page page = plan_page(stream);
    const int columns = stream->lines < CHOSEN ? stream->lines : CHOSEN;
    int lit = 0, computed = 0;
    for (int column = 0; column < columns; column++) {
        const int frame = chosen(stream, column);
        int blocks_of[PLACES * 4] = {0}, first[PLACES * 4], changed = 0;
        check_maps(image, stream, &page, column, blocks_of, first);
        check_cost(image, stream, &page, frame);
        for (int cell = 0; cell < stream->grid * stream->grid; cell++) {
            computed += blocks_of[cell] > 0;
            if (!stream->painted) continue;
            const bool differs = check_changed(image, &page, column, cell, frame);
            changed += differs;
            // Every patch attends to what changed, so that all pass the other gates.
            require(first[cell] == (stream->changed[frame] > 0 ? 2 + differs : 0),
                    "what changed to pass one gate more");
            check_heat(image, stream, &page, column, cell, blocks_of[cell]);
        }
        require(!stream->painted || changed == stream->changed[frame],
                "as many patches as are told");
        lit += changed;
    }
    for (int n = 1, last = -1; n <= stream->blocks; n++) {
        const int *tint = stream->tints[n];
        const int bright = tint[0] < 0 ? -1 : 2 * tint[0] + 5 * tint[1] + tint[2];
        require(bright < 0 || bright > last, "more blocks to be brighter");
        if (bright >= 0) last = bright;
    }
    printf("%d changed, %d computed\n", lit, computed);
}

/* ---- videos -------------------------------------------------------------------------------- */

struct square {
    int x, y, side, n, width, height;
    int grey[1000];
};

static void look(const struct image *image, void *user) {
    struct square *square = user;
    long sum = 0;
    require(square->n < 1000, "fewer frames");
    for (int i = 0; i < square->side * square->side; i++) {
        const int x = square->x + i % square->side, y = square->y + i / square->side;
        sum += luma(image->rgb + 3 * ((size_t)y * image->width + x));
    }
    square->grey[square->n++] = (int)(sum / (square->side * square->side));
    square->width = image->width;
    square->height = image->height;
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "clip") == 0) {
        write_clip(atoi(argv[2]), argv[3]);
    } else if (argc == 4 && strcmp(argv[1], "still") == 0) {
        still = true;
        write_clip(atoi(argv[2]), argv[3]);
    } else if (argc == 3 && strcmp(argv[1], "size") == 0) {
        print_size(argv[2]);
    } else if (argc == 6 && strcmp(argv[1], "sheet") == 0) {
        static struct clip clip;
        clip.prefix = atoi(argv[3]);
        clip.kept = atoi(argv[4]);
        clip.merged = atoi(argv[5]);
        memset(clip.tints, -1, sizeof clip.tints);
        read_indices(&clip);
        require(decode(argv[2], check_sheet, &clip) == 1, "one picture");
    } else if (argc == 7 && strcmp(argv[1], "stream") == 0) {
        static struct stream stream;
        stream.grid = atoi(argv[3]);
        stream.blocks = atoi(argv[4]);
        stream.prefix = atoi(argv[5]);
        stream.painted = strcmp(argv[6], "other") != 0;
        still = strcmp(argv[6], "still") == 0;
        require(stream.grid * stream.grid <= PLACES * 4 && stream.blocks <= MOST_GATES / 3,
                "a small model");
        memset(stream.tints, -1, sizeof stream.tints);
        read_stream(&stream);
        require(decode(argv[2], check_stream, &stream) == 1, "one picture");
    } else if (argc == 6 && strcmp(argv[1], "movie") == 0) {
        static struct square square;
        square.x = atoi(argv[3]);
        square.y = atoi(argv[4]);
        square.side = atoi(argv[5]);
        decode(argv[2], look, &square);
        printf("%d %d %d\n", square.n, square.width, square.height);
        for (int i = 0; i < square.n; i++) printf("%d\n", square.grey[i]);
    } else {
        fprintf(stderr, "picture_check: see the beginning of picture_check.c\n");
        return 2;
    }
    return 0;
}
