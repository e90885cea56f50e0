// What classify, embed and view share: open everything, read ahead, pack, run, hand out results in order.
#ifndef VIDETTE_TOOLS_PIPELINE_H
#define VIDETTE_TOOLS_PIPELINE_H

#include "output.h"
#include "progress.h"
#include "settings.h"

// One clip's result, views already averaged.
struct result {
    const char *input;
    unsigned clip;          // within the input
    const uint64_t *frames; // (n_frames) of all views
    const double *times;
    size_t n_frames;
    float *logits, *features; // as the session's shape says; NULL where not asked for
    uint64_t lost;
    double decode_ms, preprocess_ms, decide_ms, embed_ms, blocks_ms,
        head_ms; // a packed call's time is shared out
    struct token_counts counts;
};

// Where results go. Each returns 0, or -1 after a message, which ends the run.
struct consumer {
    bool logits;   // wanted, where the model has any
    vdt_pool pool; // features wanted
    int (*begin)(void *user, const vdt_model *model, const vdt_session_shape_info *shape,
                 struct output *output);
    int (*result)(void *user, const struct result *result, struct output *output); // may be NULL
    int (*view)(void *user, const struct result *result, const vdt_item *item,
                const vdt_tokens *tokens); // before its clip's result; may be NULL
    int (*failure)(void *user, const char *input,
                   struct output *output);         // after its message; may be NULL
    int (*end)(void *user, struct output *output); // before the file gets its name; may be NULL
    void *user;
};

// Runs all inputs. Returns an exit status.
int pipeline_run(const struct settings *settings, const char *command,
                 const struct consumer *consumer);

// A number for everything that decides what an output of `command` holds.
uint64_t command_identity(const struct settings *settings, const char *command);

// Opens context and model as the settings say. On failure prints the message and returns -1.
int open_model(vdt_context **context, vdt_model **model, const struct settings *settings,
               vdt_progress_fn progress, void *user);

#endif
