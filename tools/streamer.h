// Runs an input frame by frame through a stream, for the commands that do: opens everything, keeps pace in real
// time, reconnects lost cameras, reports scene cuts, loads and saves the stream's state.
#ifndef VIDETTE_TOOLS_STREAMER_H
#define VIDETTE_TOOLS_STREAMER_H

#include "output.h"
#include "settings.h"

// One frame's result.
struct stream_result {
    size_t input; // index into the settings' inputs
    const vdt_item *item;
    uint64_t frame; // of the input, counted from 0 through all losses of a camera
    double time;    // seconds since its first frame
    const vdt_stream_info *info;
    const vdt_stats *stats;
    float *logits, *features;    // as the session's shape says; NULL where not asked for
    double step_ms;              // decide, embed, blocks, head
    const vdt_updated *updated;  // NULL where not asked for
    const vdt_video_info *video; // the input; zeros where unknown, NULL where not asked for
    bool cut;                    // most of the picture changed at once
    unsigned dropped;            // frames left out before this one, to keep pace
};

// Where results go; each returns 0, or -1 after a message, which ends the run.
struct stream_consumer {
    bool logits;   // wanted, where the model has a classifier
    vdt_pool pool; // features wanted
    bool updated;  // which tokens were recomputed is wanted, and what the input is
    int (*begin)(void *user, const vdt_model *model, const vdt_session *session,
                 struct output *output);
    int (*frame)(void *user, const struct stream_result *result, struct output *output);
    int (*end)(void *user, struct output *output); // of all inputs
    void *user;
};

// Runs all inputs, each from a first step of its own. Returns an exit status.
int streamer_run(const struct settings *settings, const char *command,
                 const struct stream_consumer *consumer);

#endif
