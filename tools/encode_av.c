#include "encode_av.h"

#include <errno.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>
#include <string.h>

static int complain(const struct output *output, int code) {
    char reason[AV_ERROR_MAX_STRING_SIZE] = {0};
    av_strerror(code, reason, sizeof reason);
    fprintf(stderr, "vidette: %s: cannot be written: %s\n", output->path, reason);
    return -1;
}

static AVFrame *make_frame(int width, int height, enum AVPixelFormat format) {
    AVFrame *frame = av_frame_alloc();
    if (!frame) return NULL;
    frame->width = width;
    frame->height = height;
    frame->format = format;
    if (av_frame_get_buffer(frame, 0) < 0) av_frame_free(&frame);
    return frame;
}

/* ---- pictures ------------------------------------------------------------------------------ */

static int encode_png(AVCodecContext *codec, AVFrame *frame, AVPacket *packet) {
    codec->width = frame->width;
    codec->height = frame->height;
    codec->pix_fmt = AV_PIX_FMT_RGB24;
    codec->time_base = (AVRational){1, 1};
    codec->compression_level = 9;
    av_opt_set(codec->priv_data, "pred", "mixed", 0);
    int code = avcodec_open2(codec, NULL, NULL);
    if (code >= 0) code = avcodec_send_frame(codec, frame);
    return code >= 0 ? avcodec_receive_packet(codec, packet) : code;
}

int png_write(struct output *output, const struct picture *picture) {
    av_log_set_level(AV_LOG_QUIET);
    const AVCodec *png = avcodec_find_encoder(AV_CODEC_ID_PNG);
    AVCodecContext *codec = png ? avcodec_alloc_context3(png) : NULL;
    AVFrame *frame = make_frame(picture->width, picture->height, AV_PIX_FMT_RGB24);
    AVPacket *packet = av_packet_alloc();
    int code = !png ? AVERROR_ENCODER_NOT_FOUND : AVERROR(ENOMEM);
    if (codec && frame && packet) {
        for (int y = 0; y < picture->height; y++)
            memcpy(frame->data[0] + y * frame->linesize[0], picture_at(picture, 0, y),
                   3 * (size_t)picture->width);
        code = encode_png(codec, frame, packet);
    }
    int status = code < 0 ? complain(output, code) : 0;
    if (!status &&
        fwrite(packet->data, 1, (size_t)packet->size, output->file) != (size_t)packet->size)
        status = output_complain(output);
    av_packet_free(&packet);
    av_frame_free(&frame);
    avcodec_free_context(&codec);
    return status;
}

/* ---- videos -------------------------------------------------------------------------------- */

struct movie {
    struct output *output;
    AVFormatContext *format;
    AVCodecContext *codec;
    AVStream *stream;
    struct SwsContext *scaler; // RGB to the encoder's pixels
    AVFrame *frame;
    AVPacket *packet;
    int64_t frames; // so far
    bool begun;     // the container's header is written
};

static int write_bytes(void *user, uint8_t *bytes, int n) {
    const struct output *output = user;
    errno = 0;
    if (fwrite(bytes, 1, (size_t)n, output->file) == (size_t)n) return n;
    return AVERROR(errno ? errno : EIO);
}

static int64_t seek_bytes(void *user, int64_t offset, int whence) {
    const struct output *output = user;
    if (whence == AVSEEK_SIZE) return AVERROR(ENOSYS);
    return fseeko(output->file, offset, whence & ~AVSEEK_FORCE) == 0 ? ftello(output->file)
                                                                     : AVERROR(errno);
}

// The container, writing to the output's stream.
static int open_container(struct movie *movie) {
    enum { BUFFER = 1 << 16 };
    struct output *output = movie->output;
    const int code = avformat_alloc_output_context2(&movie->format, NULL, NULL, output->path);
    if (code < 0) return code;
    uint8_t *buffer = av_malloc(BUFFER);
    if (!buffer) return AVERROR(ENOMEM);
    movie->format->pb =
        avio_alloc_context(buffer, BUFFER, 1, output, NULL, write_bytes, seek_bytes);
    if (!movie->format->pb) av_free(buffer);
    if (!movie->format->pb) return AVERROR(ENOMEM);
    movie->format->pb->seekable = output->direct ? 0 : AVIO_SEEKABLE_NORMAL;
    return 0;
}

static int open_encoder(struct movie *movie, int width, int height, double rate) {
    const AVCodec *encoder = avcodec_find_encoder(movie->format->oformat->video_codec);
    if (!encoder) return AVERROR_ENCODER_NOT_FOUND;
    AVCodecContext *codec = movie->codec = avcodec_alloc_context3(encoder);
    if (!codec) return AVERROR(ENOMEM);
    codec->width = width;
    codec->height = height;
    codec->pix_fmt = AV_PIX_FMT_YUV420P;
    codec->colorspace = AVCOL_SPC_SMPTE170M; // what libswscale makes
    codec->color_range = AVCOL_RANGE_MPEG;
    codec->framerate = av_d2q(rate, 1000);
    codec->time_base = av_inv_q(codec->framerate);
    codec->flags |= AV_CODEC_FLAG_QSCALE; // fine letters; x264 has a scale of its own
    codec->global_quality = 2 * FF_QP2LAMBDA;
    av_opt_set(codec->priv_data, "crf", "18", 0);
    if (movie->format->oformat->flags & AVFMT_GLOBALHEADER)
        codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    const int code = avcodec_open2(codec, encoder, NULL);
    if (code < 0) return code;
    movie->stream = avformat_new_stream(movie->format, NULL);
    if (!movie->stream) return AVERROR(ENOMEM);
    movie->stream->time_base = codec->time_base;
    movie->stream->avg_frame_rate = codec->framerate;
    return avcodec_parameters_from_context(movie->stream->codecpar, codec);
}

static int open_all(struct movie *movie, int width, int height, double rate) {
    int code = open_container(movie);
    if (code >= 0) code = open_encoder(movie, width, height, rate);
    if (code < 0) return code;
    movie->frame = make_frame(width, height, movie->codec->pix_fmt);
    movie->packet = av_packet_alloc();
    movie->scaler = sws_getContext(width, height, AV_PIX_FMT_RGB24, width, height,
                                   movie->codec->pix_fmt, SWS_BICUBIC, NULL, NULL, NULL);
    if (!movie->frame || !movie->packet || !movie->scaler) return AVERROR(ENOMEM);
    code = avformat_write_header(movie->format, NULL);
    movie->begun = code >= 0;
    return code;
}

struct movie *movie_open(struct output *output, int width, int height, double rate) {
    av_log_set_level(AV_LOG_QUIET);
    struct movie *movie = av_mallocz(sizeof *movie);
    if (!movie) {
        complain(output, AVERROR(ENOMEM));
        return NULL;
    }
    movie->output = output;
    const int code = open_all(movie, width, height, rate);
    if (code >= 0) return movie;
    complain(output, code);
    movie_close(movie, false);
    return NULL;
}

// Gives the encoder a frame, or its end, and the container what comes out.
static int encode(struct movie *movie, const AVFrame *frame) {
    int code = avcodec_send_frame(movie->codec, frame);
    while (code >= 0) {
        code = avcodec_receive_packet(movie->codec, movie->packet);
        if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) return 0;
        if (code < 0) break;
        movie->packet->duration = 1;
        av_packet_rescale_ts(movie->packet, movie->codec->time_base, movie->stream->time_base);
        movie->packet->stream_index = movie->stream->index;
        code = av_interleaved_write_frame(movie->format, movie->packet);
    }
    return code;
}

int movie_add(struct movie *movie, const struct picture *picture) {
    const uint8_t *planes[1] = {picture->rgb};
    const int strides[1] = {3 * picture->width};
    int code = av_frame_make_writable(movie->frame);
    if (code >= 0) {
        sws_scale(movie->scaler, planes, strides, 0, picture->height, movie->frame->data,
                  movie->frame->linesize);
        movie->frame->pts = movie->frames++;
        code = encode(movie, movie->frame);
    }
    return code < 0 ? complain(movie->output, code) : 0;
}

int movie_close(struct movie *movie, bool finish) {
    if (!movie) return 0;
    int code = 0;
    if (finish && movie->begun) {
        code = encode(movie, NULL);
        if (code >= 0) code = av_write_trailer(movie->format);
    }
    const int status = code < 0 ? complain(movie->output, code) : 0;
    if (movie->format && movie->format->pb) {
        av_freep(&movie->format->pb->buffer);
        avio_context_free(&movie->format->pb);
    }
    sws_freeContext(movie->scaler);
    av_packet_free(&movie->packet);
    av_frame_free(&movie->frame);
    avcodec_free_context(&movie->codec);
    avformat_free_context(movie->format);
    av_free(movie);
    return status;
}
