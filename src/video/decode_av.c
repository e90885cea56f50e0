// Videos, images, cameras and URLs through libav (FFmpeg); the only file that includes it.
//
// Frames are told apart by their presentation time stamps. Counting reads the packets without
// decoding them, where the container and the codec allow it: one packet a frame, every packet with
// a time stamp of its own. A frame is then reached by a jump to the key frame before it, and is
// believed only if its time stamp is the one that was counted. Where anything contradicts (a broken
// tail, missing time stamps, a frame that does not decode) the input is decoded from its beginning
// instead, and what comes out is what there is.
//
// Pixels become RGB with libswscale's defaults, as users of PyAV, decord and torchcodec get them.
// libav's log belongs to the process; it is switched off when the first input is opened.
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/avstring.h>
#include <libavutil/display.h>
#include <libavutil/imgutils.h>
#include <libswscale/swscale.h>
#ifdef VIDETTE_HAVE_CAMERA
#include <libavdevice/avdevice.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "video/frames.h"

// Where counting leaves an input whose frames are indexed: the way on is a jump.
#define AT_END_OF_PACKETS UINT64_MAX

struct av_decoder {
    struct decoder base;
    char *input; // as users wrote it
    AVFormatContext *format;
    AVCodecContext *codec;
    AVStream *stream;
    AVPacket *packet;
    AVFrame *frame;
    struct SwsContext *sws;
    bool drained;   // the end of the input was sent to the codec
    bool wants_key; // packets are passed over until a key frame comes

    uint8_t *rgb, *oriented; // converted pixels; turned ones
    size_t rgb_bytes, oriented_bytes;

    bool counted, indexed; // indexed: the two arrays below can be trusted
    int64_t *pts, *keys;   // time stamps of all frames and of key frames, ascending
    size_t n_pts, pts_capacity, n_keys, keys_capacity;
    int64_t first_pts; // of the first frame that came out; AV_NOPTS_VALUE before
    uint64_t at;       // index of the frame that comes out next
};

static int fail(const struct av_decoder *av, int code, const char *what, vdt_error *error) {
    char reason[AV_ERROR_MAX_STRING_SIZE] = "";
    av_strerror(code, reason, sizeof reason);
    if (code == AVERROR(ENOMEM))
        return status_fail(error, VDT_ERROR_MEMORY, "%s: out of memory", av->input);
    const bool is_io = code == AVERROR(ENOENT) || code == AVERROR(EACCES) || code == AVERROR(EIO) ||
                       code == AVERROR(EISDIR);
    return status_fail(error, is_io ? VDT_ERROR_IO : VDT_ERROR_FORMAT, "%s: %s: %s", av->input,
                       what, reason);
}

/* ---- open ---------------------------------------------------------------------------------- */

static bool starts_with(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_camera(const char *input) {
    return starts_with(input, "/dev/video");
}

static bool is_rtsp(const char *input) {
    return starts_with(input, "rtsp://") || starts_with(input, "rtsps://");
}

static bool is_http(const char *input) {
    return starts_with(input, "http://") || starts_with(input, "https://");
}

static int interrupted(void *argument) {
    const struct av_decoder *av = argument;
    return av->base.stop && atomic_load(av->base.stop);
}

static int camera_format(const struct av_decoder *av, const AVInputFormat **format,
                         vdt_error *error) {
#ifdef VIDETTE_HAVE_CAMERA
    avdevice_register_all();
    *format = av_find_input_format("video4linux2");
    if (*format) return VDT_OK;
#else
    (void)format;
#endif
    return status_fail(error, VDT_ERROR_UNSUPPORTED, "%s: this build reads no cameras", av->input);
}

// Files are opened with the file protocol alone, so that a playlist cannot reach the network.
static int open_format(struct av_decoder *av, vdt_error *error) {
    const AVInputFormat *format = NULL;
    AVDictionary *options = NULL;
    char *url = NULL;
    int status = VDT_OK;
    if (is_camera(av->input)) {
        status = camera_format(av, &format, error);
    } else if (is_rtsp(av->input)) {
        av_dict_set(&options, "rtsp_transport", "tcp", 0);
        av_dict_set(&options, "timeout", "10000000", 0); // microseconds
    } else if (is_http(av->input)) {
        av_dict_set(&options, "rw_timeout", "10000000", 0);
    } else {
        av_dict_set(&options, "protocol_whitelist", "file", 0);
        url = av_asprintf("file:%s", av->input);
        if (!url) status = status_fail(error, VDT_ERROR_MEMORY, "%s: out of memory", av->input);
    }
    if (!status) {
        av->format = avformat_alloc_context();
        if (!av->format)
            status = status_fail(error, VDT_ERROR_MEMORY, "%s: out of memory", av->input);
    }
    if (!status) {
        av->format->interrupt_callback = (AVIOInterruptCB){interrupted, av};
        const int code = avformat_open_input(&av->format, url ? url : av->input, format, &options);
        if (code < 0) status = fail(av, code, "expected a video or an image", error);
    }
    av_free(url);
    av_dict_free(&options);
    return status;
}

// Formats that turn text into pictures: a text file is not a video.
static bool is_text_art(const AVInputFormat *format) {
    static const char *const names[] = {"tty", "bin", "xbin", "adf", "idf"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(format->name, names[i]) == 0) return true;
    }
    return false;
}

static int open_codec(struct av_decoder *av, vdt_error *error) {
    const AVCodec *codec = NULL;
    int code = is_text_art(av->format->iformat) ? AVERROR_INVALIDDATA
                                                : avformat_find_stream_info(av->format, NULL);
    if (code < 0) return fail(av, code, "expected a video or an image", error);
    const int index = av_find_best_stream(av->format, AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
    if (index < 0 || (av->format->streams[index]->disposition & AV_DISPOSITION_ATTACHED_PIC)) {
        return status_fail(
            error, index == AVERROR_DECODER_NOT_FOUND ? VDT_ERROR_UNSUPPORTED : VDT_ERROR_FORMAT,
            index == AVERROR_DECODER_NOT_FOUND ? "%s: no decoder for its video here"
                                               : "%s: expected a video stream, found none",
            av->input);
    }
    av->stream = av->format->streams[index];
    for (unsigned i = 0; i < av->format->nb_streams; i++) {
        if ((int)i != index) av->format->streams[i]->discard = AVDISCARD_ALL;
    }
    av->codec = avcodec_alloc_context3(codec);
    if (!av->codec) return fail(av, AVERROR(ENOMEM), "", error);
    code = avcodec_parameters_to_context(av->codec, av->stream->codecpar);
    av->codec->pkt_timebase = av->stream->time_base;
    av->codec->thread_count = 1; // decoding is one thread of those the user granted
    if (code >= 0) code = avcodec_open2(av->codec, codec, NULL);
    return code < 0 ? fail(av, code, "cannot be decoded", error) : VDT_OK;
}

static void close_input(struct av_decoder *av) {
    avcodec_free_context(&av->codec);
    avformat_close_input(&av->format);
    av->stream = NULL;
}

// Opens the input at its beginning; also the way back there where seeking cannot be trusted.
static int reopen(struct av_decoder *av, vdt_error *error) {
    close_input(av);
    av->drained = av->wants_key = false;
    av->first_pts = AV_NOPTS_VALUE;
    av->at = 0;
    const int status = open_format(av, error);
    return status ? status : open_codec(av, error);
}

/* ---- orientation --------------------------------------------------------------------------- */

// A display matrix reduced to signs: x' = a x + c y, y' = b x + d y, one of the eight ways to lay
// an image down. Anything else (a skew) reads as upright.
struct orientation {
    int a, b, c, d;
};

static int sign(int32_t value) {
    return (value > 0) - (value < 0);
}

static struct orientation read_matrix(const uint8_t *bytes) {
    int32_t matrix[9];
    memcpy(matrix, bytes, sizeof matrix);
    const struct orientation found = {sign(matrix[0]), sign(matrix[1]), sign(matrix[3]),
                                      sign(matrix[4])};
    const bool straight = found.a && found.d && !found.b && !found.c;
    const bool turned = found.b && found.c && !found.a && !found.d;
    return straight || turned ? found : (struct orientation){1, 0, 0, 1};
}

static struct orientation stream_orientation(const struct av_decoder *av, const AVFrame *frame) {
    size_t bytes = 0;
    const uint8_t *matrix = av_stream_get_side_data(av->stream, AV_PKT_DATA_DISPLAYMATRIX, &bytes);
    const AVFrameSideData *side =
        frame ? av_frame_get_side_data(frame, AV_FRAME_DATA_DISPLAYMATRIX) : NULL;
    if (matrix && bytes >= 9 * sizeof(int32_t)) return read_matrix(matrix);
    if (side && side->size >= 9 * sizeof(int32_t)) return read_matrix(side->data);
    return (struct orientation){1, 0, 0, 1};
}

static int clockwise_degrees(struct orientation o) {
    if (o.a > 0) return 0;
    if (o.a < 0) return 180;
    return o.b > 0 ? 90 : 270;
}

static int grow(struct av_decoder *av, uint8_t **buffer, size_t *capacity, size_t bytes,
                vdt_error *error) {
    if (bytes <= *capacity) return VDT_OK;
    mem_free(av->base.memory, *buffer);
    *capacity = 0;
    *buffer = mem_alloc(av->base.memory, bytes, 1, "frame", error);
    if (!*buffer) return VDT_ERROR_MEMORY;
    *capacity = bytes;
    return VDT_OK;
}

// Lays frame->pixels down as `o` says; frame then points to the turned pixels.
static int orient(struct av_decoder *av, struct frame *frame, struct orientation o,
                  vdt_error *error) {
    const size_t w = frame->width, h = frame->height;
    const size_t out_w = o.a ? w : h, out_h = o.a ? h : w;
    const int status = grow(av, &av->oriented, &av->oriented_bytes, 3 * w * h, error);
    if (status) return status;
    for (size_t y = 0; y < h; y++) {
        for (size_t x = 0; x < w; x++) {
            // Coordinates that run backwards count from the far side.
            const size_t x_out = o.a ? (o.a > 0 ? x : w - 1 - x) : (o.c > 0 ? y : h - 1 - y);
            const size_t y_out = o.d ? (o.d > 0 ? y : h - 1 - y) : (o.b > 0 ? x : w - 1 - x);
            memcpy(av->oriented + 3 * (y_out * out_w + x_out),
                   frame->pixels + y * frame->row_stride + 3 * x, 3);
        }
    }
    frame->pixels = av->oriented;
    frame->width = out_w;
    frame->height = out_h;
    frame->row_stride = 3 * out_w;
    return VDT_OK;
}

/* ---- decoding ------------------------------------------------------------------------------ */

static void give_packet(struct av_decoder *av) {
    if (av->packet->flags & AV_PKT_FLAG_KEY) av->wants_key = false;
    if (!av->wants_key) avcodec_send_packet(av->codec, av->packet);
}

// Gives the codec the next packet, or tells it that there is none.
static int feed(struct av_decoder *av, vdt_error *error) {
    const int read = av_read_frame(av->format, av->packet);
    if (interrupted(av))
        return status_fail(error, VDT_ERROR_CANCELLED, "%s: reading was cancelled", av->input);
    if (read == AVERROR(ENOMEM)) return fail(av, read, "", error);
    if (read < 0 &&
        read != AVERROR(EAGAIN)) { // the end, or a broken tail: what is inside still comes out
        avcodec_send_packet(av->codec, NULL);
        av->drained = true;
    } else if (read >= 0) {
        if (av->packet->stream_index == av->stream->index) give_packet(av);
        av_packet_unref(av->packet);
    }
    return VDT_OK;
}

// The next frame into av->frame. VDT_END at the end; packets that do not decode are passed over.
static int decode(struct av_decoder *av, vdt_error *error) {
    for (;;) {
        const int received = avcodec_receive_frame(av->codec, av->frame);
        if (received == 0) return VDT_OK;
        if (received == AVERROR(ENOMEM)) return fail(av, received, "", error);
        if (received == AVERROR_EOF || (received == AVERROR(EAGAIN) && av->drained)) return VDT_END;
        const int status = av->drained ? VDT_OK : feed(av, error);
        if (status) return status;
    }
}

static int64_t frame_pts(const AVFrame *frame) {
    return frame->best_effort_timestamp;
}

// av->frame as RGB.
static int convert(struct av_decoder *av, struct frame *frame, vdt_error *error) {
    const AVFrame *in = av->frame;
    size_t stride, bytes;
    if (in->width < 1 || in->height < 1 || !checked_round_up(&stride, 3 * (size_t)in->width, 64) ||
        !checked_multiply(&bytes, stride, (size_t)in->height) || !checked_add(&bytes, bytes, 64)) {
        return status_fail(error, VDT_ERROR_FORMAT, "%s: a frame of %d x %d", av->input, in->width,
                           in->height);
    }
    const int status = grow(av, &av->rgb, &av->rgb_bytes, bytes, error);
    if (status) return status;
    av->sws = sws_getCachedContext(av->sws, in->width, in->height, in->format, in->width,
                                   in->height, AV_PIX_FMT_RGB24, SWS_BILINEAR, NULL, NULL, NULL);
    uint8_t *const planes[4] = {av->rgb};
    const int strides[4] = {(int)stride};
    if (!av->sws || sws_scale(av->sws, (const uint8_t *const *)in->data, in->linesize, 0,
                              in->height, planes, strides) != in->height) {
        return status_fail(error, VDT_ERROR_UNSUPPORTED,
                           "%s: its pixel format cannot be converted to RGB", av->input);
    }
    *frame = (struct frame){.pixels = av->rgb,
                            .width = (size_t)in->width,
                            .height = (size_t)in->height,
                            .row_stride = stride};
    const struct orientation o = stream_orientation(av, in);
    return o.a > 0 && o.d > 0 ? VDT_OK : orient(av, frame, o, error);
}

// Index and time of av->frame, which has just come out.
static void place(struct av_decoder *av, struct frame *frame, uint64_t index) {
    const int64_t pts = frame_pts(av->frame);
    if (av->first_pts == AV_NOPTS_VALUE) av->first_pts = av->indexed ? av->pts[0] : pts;
    const double rate = av->base.info.rate > 0 ? av->base.info.rate : FRAMES_NOMINAL_RATE;
    frame->index = index;
    frame->time = pts == AV_NOPTS_VALUE || av->first_pts == AV_NOPTS_VALUE
                      ? (double)index / rate
                      : (double)(pts - av->first_pts) * av_q2d(av->stream->time_base);
}

/* ---- counting ------------------------------------------------------------------------------ */

static int compare_pts(const void *a, const void *b) {
    const int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static int append(struct av_decoder *av, int64_t **items, size_t *n, size_t *capacity,
                  int64_t value, vdt_error *error) {
    int64_t *grown =
        mem_grow(av->base.memory, *items, capacity, *n + 1, sizeof *grown, av->input, error);
    if (!grown) return VDT_ERROR_MEMORY;
    *items = grown;
    grown[(*n)++] = value;
    return VDT_OK;
}

// Codecs whose packets are frames, one each.
static bool packets_are_frames(const AVCodecParameters *codec) {
    switch (codec->codec_id) {
    case AV_CODEC_ID_H264:
        return codec->field_order == AV_FIELD_UNKNOWN || codec->field_order == AV_FIELD_PROGRESSIVE;
    case AV_CODEC_ID_HEVC:
    case AV_CODEC_ID_AV1:
    case AV_CODEC_ID_VP9:
    case AV_CODEC_ID_MPEG4:
    case AV_CODEC_ID_MJPEG:
    case AV_CODEC_ID_PNG:
    case AV_CODEC_ID_PRORES:
    case AV_CODEC_ID_DNXHD:
    case AV_CODEC_ID_FFV1:
    case AV_CODEC_ID_RAWVIDEO: return true;
    default: return false;
    }
}

static int64_t packet_pts(const struct av_decoder *av) {
    const bool in_order = av->stream->codecpar->video_delay == 0;
    return av->packet->pts == AV_NOPTS_VALUE && in_order ? av->packet->dts : av->packet->pts;
}

// Reads all packets. *trusted: every one is a whole frame with a time stamp.
static int read_packets(struct av_decoder *av, bool *trusted, vdt_error *error) {
    int status = VDT_OK, read = 0;
    bool first = true;
    *trusted = packets_are_frames(av->stream->codecpar);
    while (!status && (read = av_read_frame(av->format, av->packet)) >= 0) {
        const AVPacket *packet = av->packet;
        if (packet->stream_index == av->stream->index && !(packet->flags & AV_PKT_FLAG_DISCARD)) {
            const bool key = packet->flags & AV_PKT_FLAG_KEY;
            const int64_t pts = packet_pts(av);
            if (pts == AV_NOPTS_VALUE || (packet->flags & AV_PKT_FLAG_CORRUPT) || (first && !key))
                *trusted = false;
            first = false;
            status = append(av, &av->pts, &av->n_pts, &av->pts_capacity, pts, error);
            if (!status && key)
                status = append(av, &av->keys, &av->n_keys, &av->keys_capacity, pts, error);
        }
        av_packet_unref(av->packet);
        if (!status && interrupted(av)) {
            status =
                status_fail(error, VDT_ERROR_CANCELLED, "%s: reading was cancelled", av->input);
        }
    }
    if (read < 0 && read != AVERROR_EOF) *trusted = false;
    if (av->n_pts == 0 || av->n_keys == 0) *trusted = false;
    return status;
}

static bool all_differ(const int64_t *sorted, size_t n) {
    for (size_t i = 1; i < n; i++) {
        if (sorted[i] == sorted[i - 1]) return false;
    }
    return true;
}

// Counts by decoding everything; frames are then reached from the beginning.
static int count_by_decoding(struct av_decoder *av, vdt_error *error) {
    av->indexed = false;
    uint64_t n = 0;
    int status = reopen(av, error);
    while (!status && (status = decode(av, error)) == VDT_OK) n++;
    if (status != VDT_END) return status;
    av->base.info.frames = n;
    av->counted = true;
    return reopen(av, error);
}

static int count(struct decoder *decoder, vdt_error *error) {
    struct av_decoder *av = (struct av_decoder *)decoder;
    vdt_video_info *info = &decoder->info;
    if (av->counted) return VDT_OK;
    if (decoder->live) {
        return status_fail(error, VDT_ERROR_UNSUPPORTED, "%s: has no end to count frames to",
                           av->input);
    }
    const uint64_t promised = av->stream->nb_frames > 0 ? (uint64_t)av->stream->nb_frames : 0;
    bool trusted;
    int status = read_packets(av, &trusted, error);
    if (status) return status;
    if (trusted) {
        qsort(av->pts, av->n_pts, sizeof *av->pts, compare_pts);
        qsort(av->keys, av->n_keys, sizeof *av->keys, compare_pts);
        trusted = all_differ(av->pts, av->n_pts);
    }
    if (trusted) {
        av->indexed = av->counted = true;
        info->frames = av->n_pts;
        av->at = AT_END_OF_PACKETS;
    } else {
        status = count_by_decoding(av, error);
    }
    if (!status) info->lost = promised > info->frames ? promised - info->frames : 0;
    return status;
}

/* ---- seeking ------------------------------------------------------------------------------- */

// The number of items <= value in an ascending array.
static size_t count_up_to(const int64_t *sorted, size_t n, int64_t value) {
    size_t low = 0, high = n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (sorted[middle] <= value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// Decodes on to frame `index`. *found is false where its time stamp does not come.
static int decode_to(struct av_decoder *av, uint64_t index, bool *found, vdt_error *error) {
    const int64_t target = av->pts[index];
    *found = false;
    for (;;) {
        const int status = decode(av, error);
        if (status == VDT_END) return VDT_OK;
        if (status) return status;
        const int64_t pts = frame_pts(av->frame);
        if (pts == AV_NOPTS_VALUE || pts > target) return VDT_OK;
        if (pts == target) {
            *found = true;
            av->at = index + 1;
            return VDT_OK;
        }
    }
}

static int jump(struct av_decoder *av, int64_t pts, vdt_error *error) {
    const int code = av_seek_frame(av->format, av->stream->index, pts, AVSEEK_FLAG_BACKWARD);
    if (code < 0) return reopen(av, error);
    avcodec_flush_buffers(av->codec);
    av->drained = false;
    av->wants_key = true; // a container may land in the middle of a group of pictures
    return VDT_OK;
}

// Frame `index` by the index of packets: on from here, or by a jump to the key frame before it; a
// frame that does not come from there (an open group of pictures) is tried from earlier key frames.
static int seek_indexed(struct av_decoder *av, uint64_t index, bool *found, vdt_error *error) {
    size_t key = count_up_to(av->keys, av->n_keys, av->pts[index]);
    const bool onward = av->at <= index && (key == 0 || av->keys[key - 1] <= av->pts[av->at]);
    *found = false;
    int status = VDT_OK;
    if (onward) status = decode_to(av, index, found, error);
    for (size_t back = 1; !status && !*found; back *= 2) {
        const bool last = key <= 1;
        status = jump(av, av->keys[key > 0 ? key - 1 : 0], error);
        if (!status) status = decode_to(av, index, found, error);
        if (last) break;
        key = key > back ? key - back : 1;
    }
    return status;
}

// Frame `index` by counting frames from the beginning.
static int seek_counted(struct av_decoder *av, uint64_t index, vdt_error *error) {
    int status = VDT_OK;
    if (av->at > index) status = reopen(av, error);
    while (!status && av->at <= index) {
        status = decode(av, error);
        if (!status && av->first_pts == AV_NOPTS_VALUE) av->first_pts = frame_pts(av->frame);
        if (!status) av->at++;
    }
    return status;
}

static int seek(struct decoder *decoder, uint64_t index, struct frame *frame, vdt_error *error) {
    struct av_decoder *av = (struct av_decoder *)decoder;
    int status = count(decoder, error);
    if (!status && av->indexed && index < decoder->info.frames) {
        bool found;
        status = seek_indexed(av, index, &found, error);
        if (!status && !found) { // the index was wrong: from now on by counting
            const uint64_t promised = decoder->info.frames + decoder->info.lost;
            status = count_by_decoding(av, error);
            if (!status && promised > decoder->info.frames)
                decoder->info.lost = promised - decoder->info.frames;
        }
    }
    if (status) return status;
    if (index >= decoder->info.frames) return VDT_END;
    if (!av->indexed) status = seek_counted(av, index, error);
    if (!status) status = convert(av, frame, error);
    if (!status) place(av, frame, index);
    return status;
}

static int next(struct decoder *decoder, struct frame *frame, vdt_error *error) {
    struct av_decoder *av = (struct av_decoder *)decoder;
    if (av->at == AT_END_OF_PACKETS) return seek(decoder, 0, frame, error);
    int status = decode(av, error);
    if (!status) status = convert(av, frame, error);
    if (!status) place(av, frame, av->at++);
    return status;
}

/* ---- the decoder --------------------------------------------------------------------------- */

static void close_av(struct decoder *decoder) {
    struct av_decoder *av = (struct av_decoder *)decoder;
    struct memory *memory = decoder->memory;
    close_input(av);
    av_packet_free(&av->packet);
    av_frame_free(&av->frame);
    sws_freeContext(av->sws);
    mem_free(memory, av->rgb);
    mem_free(memory, av->oriented);
    mem_free(memory, av->pts);
    mem_free(memory, av->keys);
    mem_free(memory, av->input);
    mem_free(memory, av);
}

static const struct decoder_functions functions = {count, seek, next, close_av};

static void fill_info(struct av_decoder *av) {
    vdt_video_info *info = &av->base.info;
    const AVCodecParameters *codec = av->stream->codecpar;
    const struct orientation o = stream_orientation(av, NULL);
    snprintf(info->container, sizeof info->container, "%s", av->format->iformat->name);
    snprintf(info->codec, sizeof info->codec, "%s", avcodec_get_name(codec->codec_id));
    info->width = (uint32_t)(o.a ? codec->width : codec->height);
    info->height = (uint32_t)(o.a ? codec->height : codec->width);
    info->rotation = clockwise_degrees(o);
    if (av->stream->avg_frame_rate.num > 0 && av->stream->avg_frame_rate.den > 0) {
        info->rate = av_q2d(av->stream->avg_frame_rate);
    }
    if (av->stream->duration > 0) {
        info->seconds = (double)av->stream->duration * av_q2d(av->stream->time_base);
    } else if (av->format->duration > 0) {
        info->seconds = (double)av->format->duration / AV_TIME_BASE;
    }
    const bool seekable = av->format->pb && (av->format->pb->seekable & AVIO_SEEKABLE_NORMAL);
    av->base.live = is_camera(av->input) || is_rtsp(av->input) || (is_http(av->input) && !seekable);
}

int decode_av_open(struct decoder **decoder, struct memory *memory, const char *input,
                   atomic_bool *stop, vdt_error *error) {
    av_log_set_level(AV_LOG_QUIET);
    struct av_decoder *av = mem_alloc(memory, 1, sizeof *av, "decoder", error);
    if (!av) return VDT_ERROR_MEMORY;
    av->base.functions = &functions;
    av->base.memory = memory;
    av->base.stop = stop;
    int status = VDT_OK;
    av->input = mem_string(memory, input, strlen(input), error);
    if (!av->input) status = VDT_ERROR_MEMORY;
    if (!status) {
        av->packet = av_packet_alloc();
        av->frame = av_frame_alloc();
        if (!av->packet || !av->frame) status = fail(av, AVERROR(ENOMEM), "", error);
    }
    if (!status) status = reopen(av, error);
    if (status) {
        close_av(&av->base);
        return status;
    }
    fill_info(av);
    *decoder = &av->base;
    return VDT_OK;
}
