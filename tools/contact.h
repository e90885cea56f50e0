// Some frames of a stream of unknown length, evenly spaced, with what the stream did to them: for a picture of it.
//
// The first frame is kept and then every stride-th; where there is no room for one more, every other one goes and
// the stride doubles.
#ifndef VIDETTE_TOOLS_CONTACT_H
#define VIDETTE_TOOLS_CONTACT_H

#include "update_panel.h"

enum { CONTACT_MOST = 16 };

struct contact {
    struct update_map *map;         // of CONTACT_MOST steps; the caller's
    uint8_t *pixels;                // (CONTACT_MOST, height, width, 3)
    size_t row, rows;               // bytes of a row; rows of a frame
    vdt_clip clip;                  // of the frames that are kept
    double times[CONTACT_MOST];     // (n) seconds
    uint64_t numbers[CONTACT_MOST]; // (n) of the frames, from 0 on
    uint32_t n;
    uint64_t seen, stride;
};

// Returns 0, or -1 after a message.
int contact_open(struct contact *contact, const vdt_session_shape_info *shape,
                 struct update_map *map);
void contact_close(struct contact *contact);

// Forgets all frames.
void contact_start(struct contact *contact);

// The next frame, the first one of its clip.
void contact_add(struct contact *contact, const vdt_clip *clip, double time,
                 const vdt_stream_info *info, const vdt_updated *updated);

// Leaves at most `most` frames: the middle ones of as many equal parts.
void contact_choose(struct contact *contact, uint32_t most);

#endif
