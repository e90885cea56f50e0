// Pictures and videos as files, encoded by libav. The only tool that includes it.
//
// Bytes go through the output's stream, so that a file appears whole or not at all. A PNG comes from libav's
// own encoder: the library under the command needs libav anyway, so that pictures cost no other library.
#ifndef VIDETTE_TOOLS_ENCODE_AV_H
#define VIDETTE_TOOLS_ENCODE_AV_H

#include "output.h"
#include "picture.h"

// Returns 0, or -1 after a message.
int png_write(struct output *output, const struct picture *picture);

struct movie;

// A video of width x height (both even), in the container that the output's name ends with and with the
// encoder that is customary there. rate: frames a second. Returns NULL after a message.
struct movie *movie_open(struct output *output, int width, int height, double rate);

// The next frame; the picture has the movie's size. Returns 0, or -1 after a message.
int movie_add(struct movie *movie, const struct picture *picture);

// finish: writes what the encoder still holds and the container's end. Frees the movie; NULL is accepted.
// Returns 0, or -1 after a message.
int movie_close(struct movie *movie, bool finish);

#endif
