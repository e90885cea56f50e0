// Time and cameras, apart from the clock and the camera: when a frame of a file is due in real time, and when a
// lost input is opened again.
#ifndef VIDETTE_TOOLS_LIVE_H
#define VIDETTE_TOOLS_LIVE_H

#include <stdbool.h>
#include <stdint.h>

// A file in real time: its first frame is due at once, the others as its time stamps say. Where these leap, back
// or more than PACE_LEAP seconds ahead, the frame behind the leap is due at once, too.
struct pace {
    double start_ms; // clock at time 0; NAN: not known yet
    double last;     // time stamp of the frame before, seconds
};

#define PACE_LEAP 5.0

void pace_start(struct pace *pace);

// The frame of `time` seconds comes at now_ms. Returns whether it is late, by more than its distance to the frame
// before, and is to be left out; else *due_ms is when it is due.
bool pace_late(struct pace *pace, double time, double now_ms, double *due_ms);

// What keeps a live input open.
struct live {
    int (*run)(void *user,
               uint64_t *frames); // from opening to the end: 0, or -1 to give up; frames that came
    void (*lost)(void *user, double pause_ms); // says so and waits; returns early when stopped
    bool (*stopped)(void *user);
    void *user;
};

// Opens the input again whenever it ends, after half a second, then after twice as long each time, up to half a
// minute; a frame that comes begins again with half a second. Ends when stopped, or where not one frame came at
// the first attempt: that input is not lost but missing. Returns 0, or -1 where `run` gave up.
int live_run(const struct live *live);

#endif
