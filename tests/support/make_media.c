#include "make_media.h"

#include <errno.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/imgutils.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void require(bool condition, const char *path, const char *what) {
    if (condition) return;
    fprintf(stderr, "make_media: %s: %s failed\n", path, what);
    exit(1);
}

/* ---- content ------------------------------------------------------------------------------- */

enum { COLUMNS = 8, MILLISECONDS = 40 }; // 25 frames a second

int64_t media_time(const struct media_video *video, int i) {
    return (int64_t)MILLISECONDS * i + (video->variable ? i * 7 % 33 : 0) +
           (2 * i >= video->frames ? video->leap : 0);
}

void media_paint(uint8_t *rgb, int width, int height, int number) {
    static const uint8_t bright[3] = {224, 200, 160}, dark[3] = {32, 24, 48};
    const int texture = height >= 3 ? height * 2 / 3 : height; // first row of the texture
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++, rgb += 3) {
            const bool on = number >> (x * COLUMNS / width) & 1;
            if (width < COLUMNS) { // too narrow for columns: the level of grey is the number
                memset(rgb, 16 + number * 8 % 224, 3);
            } else if (y < texture) {
                memcpy(rgb, on ? bright : dark, 3);
            } else {
                for (int c = 0; c < 3; c++)
                    rgb[c] = (uint8_t)(64 + ((x + 3 * number) * (2 + c) + y * 5) % 128);
            }
        }
    }
}

int media_read_number(const uint8_t *rgb, size_t stride, size_t width, size_t height) {
    if (width < COLUMNS) return -1;
    const size_t rows = height >= 3 ? height * 2 / 3 : height;
    int number = 0;
    for (size_t column = 0; column < COLUMNS; column++) {
        // The middle half of the column and of its rows, away from edges that a codec smears.
        const size_t x0 = column * width / COLUMNS, x1 = (column + 1) * width / COLUMNS;
        const size_t inset = (x1 - x0) / 4, y0 = rows / 4, y1 = rows - rows / 4;
        size_t sum = 0, n = 0;
        for (size_t y = y0; y < y1; y++) {
            for (size_t i = 3 * (x0 + inset); i < 3 * (x1 - inset); i++, n++)
                sum += rgb[y * stride + i];
        }
        const size_t mean = n > 0 ? sum / n : 128;
        if (mean > 90 && mean < 140) return -1;
        if (mean >= 140) number |= 1 << column;
    }
    return number;
}

uint8_t media_channel(int x, int y, int channel) {
    static const int across[4] = {7, 3, 11, 31}, down[4] = {13, 29, 5, 17};
    return (uint8_t)((x * across[channel] + y * down[channel] + 40 * channel) & 0xff);
}

/* ---- frames -------------------------------------------------------------------------------- */

static AVFrame *make_frame(const char *path, enum AVPixelFormat format, int width, int height) {
    AVFrame *frame = av_frame_alloc();
    require(frame != NULL, path, "a frame");
    frame->format = format;
    frame->width = width;
    frame->height = height;
    require(av_frame_get_buffer(frame, 0) >= 0, path, "a frame");
    return frame;
}

// Picture `number` in any pixel format.
static AVFrame *paint_frame(const char *path, enum AVPixelFormat format, int width, int height,
                            int number) {
    AVFrame *frame = make_frame(path, format, width, height);
    uint8_t *rgb = malloc((size_t)width * (size_t)height * 3);
    require(rgb != NULL, path, "memory");
    media_paint(rgb, width, height, number);
    const uint8_t *planes[4] = {rgb};
    const int strides[4] = {3 * width};
    struct SwsContext *scaler = sws_getContext(width, height, AV_PIX_FMT_RGB24, width, height,
                                               format, SWS_BILINEAR, NULL, NULL, NULL);
    require(scaler != NULL, path, "a conversion");
    sws_scale(scaler, planes, strides, 0, height, frame->data, frame->linesize);
    sws_freeContext(scaler);
    free(rgb);
    return frame;
}

static void put_sample(uint8_t *to, const AVPixFmtDescriptor *format, int depth, uint8_t value) {
    if (depth <= 8) {
        *to = value;
    } else { // both bytes of 257 * value are the value: the byte order does not matter
        require(depth == 16 && (format->flags & AV_PIX_FMT_FLAG_BE), format->name, "a format");
        to[0] = to[1] = value;
    }
}

// A frame whose samples are media_channel's.
static AVFrame *sample_frame(const char *path, enum AVPixelFormat format, int width, int height) {
    const AVPixFmtDescriptor *descriptor = av_pix_fmt_desc_get(format);
    AVFrame *frame = make_frame(path, format, width, height);
    const bool grey = descriptor->nb_components <= 2;
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            for (int c = 0; c < descriptor->nb_components; c++) {
                const AVComponentDescriptor *component = &descriptor->comp[c];
                const int channel = grey && c == 1 ? 3 : c; // grey with alpha
                uint8_t *to = frame->data[component->plane] +
                              y * frame->linesize[component->plane] + x * component->step +
                              component->offset;
                put_sample(to, descriptor, component->depth, media_channel(x, y, channel));
            }
        }
    }
    return frame;
}

// Palette entry i is the colour (i, 255 - i, i ^ 0x55); indices are channel 0.
static AVFrame *palette_frame(const char *path, int width, int height) {
    AVFrame *frame = make_frame(path, AV_PIX_FMT_PAL8, width, height);
    uint32_t palette[256];
    for (uint32_t i = 0; i < 256; i++)
        palette[i] = 0xff000000u | i << 16 | (255 - i) << 8 | (i ^ 0x55);
    memcpy(frame->data[1], palette, sizeof palette);
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++)
            frame->data[0][y * frame->linesize[0] + x] = media_channel(x, y, 0);
    }
    return frame;
}

/* ---- videos -------------------------------------------------------------------------------- */

struct writer {
    const char *path;
    AVFormatContext *format;
    AVCodecContext *codec;
    AVStream *stream;
    AVPacket *packet;
};

static enum AVPixelFormat pixel_format(const AVCodec *codec) {
    switch (codec->id) {
    case AV_CODEC_ID_FFV1: return AV_PIX_FMT_BGR0; // lossless
    case AV_CODEC_ID_GIF: return AV_PIX_FMT_RGB8;
    case AV_CODEC_ID_MJPEG: return AV_PIX_FMT_YUVJ420P;
    default: return AV_PIX_FMT_YUV420P;
    }
}

static void open_encoder(struct writer *writer, const struct media_video *video) {
    const AVCodec *codec = avcodec_find_encoder_by_name(video->codec);
    require(codec != NULL, writer->path, video->codec);
    AVCodecContext *context = avcodec_alloc_context3(codec);
    require(context != NULL, writer->path, "an encoder");
    context->width = video->width;
    context->height = video->height;
    context->pix_fmt = pixel_format(codec);
    // Irregular times need milliseconds; a constant rate is said as such, which some containers
    // want.
    context->time_base = video->variable ? (AVRational){1, 1000} : (AVRational){1, 25};
    context->framerate = (AVRational){25, 1};
    context->bit_rate = 0;
    context->global_quality = 3 * FF_QP2LAMBDA;
    context->flags |= AV_CODEC_FLAG_QSCALE | AV_CODEC_FLAG_BITEXACT;
    if (video->gop > 0) context->gop_size = video->gop;
    context->max_b_frames = video->b_frames;
    context->thread_count = 1;
    if (writer->format->oformat->flags & AVFMT_GLOBALHEADER)
        context->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    require(avcodec_open2(context, codec, NULL) >= 0, writer->path, "opening the encoder");
    writer->codec = context;
}

static void open_container(struct writer *writer, const struct media_video *video) {
    require(avformat_alloc_output_context2(&writer->format, NULL, NULL, writer->path) >= 0,
            writer->path, "the container");
    writer->format->flags |= AVFMT_FLAG_BITEXACT;
    open_encoder(writer, video);
    writer->stream = avformat_new_stream(writer->format, NULL);
    require(writer->stream != NULL, writer->path, "a stream");
    require(avcodec_parameters_from_context(writer->stream->codecpar, writer->codec) >= 0,
            writer->path, "a stream");
    writer->stream->time_base = writer->codec->time_base;
    writer->stream->avg_frame_rate = writer->codec->framerate;
    if (video->rotation) {
        int32_t *matrix = (int32_t *)(void *)av_stream_new_side_data(
            writer->stream, AV_PKT_DATA_DISPLAYMATRIX, 9 * sizeof *matrix);
        require(matrix != NULL, writer->path, "a display matrix");
        av_display_rotation_set(matrix, video->rotation);
    }
    AVDictionary *options = NULL;
    if (video->index_first) av_dict_set(&options, "movflags", "faststart", 0);
    require(avio_open(&writer->format->pb, writer->path, AVIO_FLAG_WRITE) >= 0, writer->path,
            "opening");
    require(avformat_write_header(writer->format, &options) >= 0, writer->path, "the header");
    av_dict_free(&options);
}

// Encodes a frame (NULL: the end) and writes the packets that come out.
static void encode(struct writer *writer, const AVFrame *frame, int64_t duration) {
    require(avcodec_send_frame(writer->codec, frame) >= 0, writer->path, "encoding");
    while (avcodec_receive_packet(writer->codec, writer->packet) >= 0) {
        writer->packet->stream_index = writer->stream->index;
        writer->packet->duration = duration;
        av_packet_rescale_ts(writer->packet, writer->codec->time_base, writer->stream->time_base);
        require(av_interleaved_write_frame(writer->format, writer->packet) >= 0, writer->path,
                "writing");
    }
}

void media_write_video(const char *path, const struct media_video *video) {
    struct writer writer = {.path = path};
    av_log_set_level(AV_LOG_ERROR); // what a test prints is its result
    open_container(&writer, video);
    writer.packet = av_packet_alloc();
    require(writer.packet != NULL, path, "a packet");
    const int64_t duration = video->variable ? MILLISECONDS : 1;
    for (int i = 0; i < video->frames; i++) {
        AVFrame *frame = paint_frame(path, writer.codec->pix_fmt, video->width, video->height, i);
        frame->pts = video->variable ? media_time(video, i) : i;
        frame->quality = writer.codec->global_quality;
        encode(&writer, frame, duration);
        av_frame_free(&frame);
    }
    encode(&writer, NULL, duration);
    require(av_write_trailer(writer.format) >= 0, path, "the trailer");
    require(avio_closep(&writer.format->pb) >= 0, path, "closing");
    av_packet_free(&writer.packet);
    avcodec_free_context(&writer.codec);
    avformat_free_context(writer.format);
}

/* ---- still pictures ------------------------------------------------------------------------ */

static void write_bytes(const char *path, const void *head, size_t head_bytes, const void *bytes,
                        size_t n) {
    FILE *file = fopen(path, "wb");
    require(file != NULL, path, "opening");
    require(fwrite(head, 1, head_bytes, file) == head_bytes, path, "writing");
    require(n == 0 || fwrite(bytes, 1, n, file) == n, path, "writing");
    require(fclose(file) == 0, path, "closing");
}

// Encodes and frees the frame.
static void write_png(const char *path, AVFrame *frame) {
    av_log_set_level(AV_LOG_ERROR);
    const AVCodec *codec = avcodec_find_encoder(AV_CODEC_ID_PNG);
    AVCodecContext *context = codec ? avcodec_alloc_context3(codec) : NULL;
    AVPacket *packet = av_packet_alloc();
    require(context && packet, path, "an encoder");
    context->width = frame->width;
    context->height = frame->height;
    context->pix_fmt = frame->format;
    context->time_base = (AVRational){1, 25};
    require(avcodec_open2(context, codec, NULL) >= 0, path, "opening the encoder");
    require(avcodec_send_frame(context, frame) >= 0, path, "encoding");
    require(avcodec_receive_packet(context, packet) >= 0, path, "encoding");
    write_bytes(path, packet->data, (size_t)packet->size, NULL, 0);
    av_packet_free(&packet);
    avcodec_free_context(&context);
    av_frame_free(&frame);
}

void media_write_png(const char *path, const char *format, int width, int height) {
    const enum AVPixelFormat pixel = av_get_pix_fmt(format);
    require(pixel != AV_PIX_FMT_NONE, path, format);
    write_png(path, pixel == AV_PIX_FMT_PAL8 ? palette_frame(path, width, height)
                                             : sample_frame(path, pixel, width, height));
}

void media_write_frame(const char *path, int width, int height, int number) {
    write_png(path, paint_frame(path, AV_PIX_FMT_RGB24, width, height, number));
}

/* ---- other files --------------------------------------------------------------------------- */

enum { PATH_BYTES = 1024 };

static void join(char path[PATH_BYTES], const char *directory, const char *name) {
    const int n = snprintf(path, PATH_BYTES, "%s/%s", directory, name);
    require(n > 0 && n < PATH_BYTES, directory, "a path that long");
}

void media_write_wav(const char *path) {
    enum { RATE = 8000, BYTES = RATE };
    static uint8_t samples[BYTES];
    for (int i = 0; i < BYTES; i++) samples[i] = (uint8_t)(128 + (i * 5 % 64) - 32);
    uint8_t head[44] = "RIFF....WAVEfmt \x10\0\0\0\x01\0\x01\0........\x01\0\x08\0data....";
    const uint32_t sizes[] = {36 + BYTES, RATE, RATE, BYTES};
    static const size_t places[] = {4, 24, 28, 40};
    for (size_t i = 0; i < 4; i++) {
        for (size_t b = 0; b < 4; b++) head[places[i] + b] = (uint8_t)(sizes[i] >> 8 * b);
    }
    write_bytes(path, head, sizeof head, samples, sizeof samples);
}

void media_write_npy(const char *path, int frames, int height, int width) {
    char head[128];
    const size_t picture = (size_t)height * (size_t)width * 3;
    memset(head, ' ', sizeof head);
    memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10);
    const int n = snprintf(head + 10, sizeof head - 10,
                           "{'descr': '|u1', 'fortran_order': False, 'shape': (%d, %d, %d, 3), }",
                           frames, height, width);
    head[10 + n] = ' ';
    head[sizeof head - 1] = '\n';
    uint8_t *bytes = malloc((size_t)frames * picture + 1);
    require(bytes != NULL, path, "memory");
    for (int i = 0; i < frames; i++) media_paint(bytes + (size_t)i * picture, width, height, i);
    write_bytes(path, head, sizeof head, bytes, (size_t)frames * picture);
    free(bytes);
}

void media_write_directory(const char *path, int count, int width, int height) {
    require(mkdir(path, 0777) == 0 || errno == EEXIST, path, "making the directory");
    for (int i = 1; i <= count; i++) {
        char name[32], picture[PATH_BYTES];
        snprintf(name, sizeof name, "frame%d.png", i);
        join(picture, path, name);
        media_write_frame(picture, width, height, i);
    }
}

void media_write_all(const char *directory) {
    static const struct {
        const char *name;
        struct media_video video;
    } videos[] = {
        {"plain.mp4", {"mpeg4", 64, 48, 50, 12, 2, 0, false, false, 0}},
        {"front.mp4", {"mpeg4", 64, 48, 50, 12, 2, 0, false, true, 0}},
        {"variable.mp4", {"mpeg4", 64, 48, 40, 12, 2, 0, true, false, 0}},
        {"turned90.mp4", {"mpeg4", 64, 48, 10, 12, 2, 90, false, false, 0}},
        {"one.mp4", {"mpeg4", 64, 48, 1, 12, 2, 0, false, false, 0}},
        {"pixel.mp4", {"mpeg4", 1, 1, 5, 12, 0, 0, false, false, 0}},
        {"wide.mp4", {"mpeg4", 8000, 30, 3, 12, 0, 0, false, false, 0}},
        {"odd.mp4", {"mpeg4", 33, 17, 30, 12, 2, 0, false, false, 0}},
        {"plain.mkv", {"mpeg4", 64, 48, 30, 12, 2, 0, false, false, 0}},
        {"plain.avi", {"mpeg4", 64, 48, 30, 12, 2, 0, false, false, 0}},
        {"plain.ts", {"mpeg2video", 64, 48, 30, 12, 2, 0, false, false, 0}},
        {"plain.mov", {"mjpeg", 64, 48, 30, 0, 0, 0, false, false, 0}},
        {"plain.gif", {"gif", 64, 48, 20, 0, 0, 0, false, false, 0}},
        {"small.mjpeg", {"mjpeg", 64, 48, 6, 0, 0, 0, false, false, 0}},
        {"large.mjpeg", {"mjpeg", 100, 60, 6, 0, 0, 0, false, false, 0}},
        {"long.mp4", {"mpeg4", 64, 48, 250, 12, 2, 0, false, false, 0}},
    };
    static const char *const pictures[] = {"rgb24",    "rgb48be", "rgba", "gray",
                                           "gray16be", "ya8",     "pal8"};
    char path[PATH_BYTES];
    require(mkdir(directory, 0777) == 0 || errno == EEXIST, directory, "making the directory");
    for (size_t i = 0; i < sizeof videos / sizeof *videos; i++) {
        join(path, directory, videos[i].name);
        media_write_video(path, &videos[i].video);
    }
    for (size_t i = 0; i < sizeof pictures / sizeof *pictures; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s.png", pictures[i]);
        join(path, directory, name);
        media_write_png(path, pictures[i], 40, 24);
    }
    join(path, directory, "sound.wav");
    media_write_wav(path);
    join(path, directory, "frames");
    media_write_directory(path, 12, 64, 48);
    join(path, directory, "array.npy");
    media_write_npy(path, 20, 48, 64);
}
