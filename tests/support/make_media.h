// Media with known content, written with libav (no ffmpeg program is needed).
//
// Every frame of a moving picture carries its number: eight columns, each bright or dark, are its
// bits, so that a lossy codec cannot blur one frame into another. Below them a texture moves, so
// that codecs have motion to predict. Whatever goes wrong ends the program with a message.
#ifndef VIDETTE_TESTS_MAKE_MEDIA_H
#define VIDETTE_TESTS_MAKE_MEDIA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct media_video {
    const char *codec; // libav's encoder: "mpeg4", "mpeg2video", "mjpeg", "ffv1", "gif"
    int width, height;
    int frames;
    int gop, b_frames; // gop 0: the encoder's own
    int rotation;      // degrees clockwise that display needs: 0, 90, 180, 270
    bool variable;     // time stamps at irregular distances
    bool index_first;  // mp4: the index before the data, so that a cut file can be opened
    int64_t leap;      // milliseconds that the second half of the frames comes later
};

// Writes the container that the path's suffix names.
void media_write_video(const char *path, const struct media_video *video);

// Presentation time of frame i in milliseconds.
int64_t media_time(const struct media_video *video, int i);

// The picture of frame `number`, RGB, rows without padding.
void media_paint(uint8_t *rgb, int width, int height, int number);

// The number a picture carries, -1 where a bit is neither bright nor dark (or width < 8).
int media_read_number(const uint8_t *rgb, size_t stride, size_t width, size_t height);

// A still picture of media_channel's values. `format` is libav's name of a pixel format that the
// PNG encoder takes: "rgb24", "rgb48be", "rgba", "rgba64be", "gray", "gray16be", "ya8", "ya16be",
// "pal8". 16-bit samples are 257 times the byte; grey is channel 0; alpha is anything.
void media_write_png(const char *path, const char *format, int width, int height);
uint8_t media_channel(int x, int y, int channel);

// One frame of media_paint as PNG.
void media_write_frame(const char *path, int width, int height, int number);

// A second of sound and nothing else.
void media_write_wav(const char *path);

// uint8 (frames, height, width, 3) of media_paint as NumPy array.
void media_write_npy(const char *path, int frames, int height, int width);

// A directory of `count` pictures, frame1.png, frame2.png, ..., that carry 1, 2, ...
void media_write_directory(const char *path, int count, int width, int height);

// Everything the command's tests want, under fixed names (make_media.c lists them).
void media_write_all(const char *directory);

#endif
