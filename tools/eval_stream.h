// A clip as a stream of its snippets, from a first step on: what eval's settings of streams run, and their control.
#ifndef VIDETTE_TOOLS_EVAL_STREAM_H
#define VIDETTE_TOOLS_EVAL_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <vidette/vidette.h>

struct eval_stream_result {
    double ms;                // from bytes to logits, of all steps
    uint64_t macs;            // of all steps
    uint64_t updated, tokens; // that passed the gates; that stood before them
};

// Runs the `steps` snippets of a clip and reads the logits after the last one. Only `computed` of them, evenly
// spread from the first on, are looked at; each of the others takes over the class token of the one before.
vdt_status eval_stream_run(struct eval_stream_result *result, vdt_session *session,
                           const vdt_clip *clip, size_t steps, size_t computed, float *logits,
                           vdt_error *error);

// How many computed snippets cost most nearly `macs`, where all of them cost `dense` and one `step`.
size_t eval_stream_computed(uint64_t macs, uint64_t dense, uint64_t step, size_t steps);

#endif
