// The JSON of streams: a line a frame, and a summary.
#ifndef VIDETTE_TOOLS_STREAM_LINES_H
#define VIDETTE_TOOLS_STREAM_LINES_H

#include "streamer.h"

// Times of steps are counted in bins, each a quarter of a per cent above the one before, so that a stream may
// run for ever: 1 microsecond to 12 minutes.
enum { STREAM_BINS = 8192 };

// What lines add up to.
struct stream_totals {
    const struct settings *settings;
    const vdt_model *model;
    const vdt_session_shape_info *shape;
    float *probabilities;        // (logits); NULL: no `top`
    uint64_t steps[STREAM_BINS]; // after a first one, by their time
    uint64_t n_steps;
    double longest; // ms
    uint64_t frames, missed, dropped, cuts, macs_done, macs_dense, state_bytes;
};

// Returns 0, or -1 after a message.
int stream_totals_open(struct stream_totals *totals, const struct settings *settings,
                       const vdt_model *model, const vdt_session *session, bool top);
void stream_totals_close(struct stream_totals *totals);

// Adds a frame.
void stream_totals_add(struct stream_totals *totals, const struct stream_result *result);

void print_stream_line(struct stream_totals *totals, const struct stream_result *result,
                       FILE *file);
void print_stream_text(struct stream_totals *totals, const struct stream_result *result,
                       FILE *file);

// As JSON, or in words.
void print_stream_summary(struct stream_totals *totals, FILE *file, bool json);

#endif
