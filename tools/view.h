// What the two forms of vidette view share: words and pace. cmd_view.c draws clips, view_stream.c streams.
#ifndef VIDETTE_TOOLS_VIEW_H
#define VIDETTE_TOOLS_VIEW_H

#include "settings.h"
#include "sheet.h"

// A tile's value is what the caller writes, SHEET_TEXT bytes.
char *view_tile(struct sheet_words *words, const char *label);
void view_share(struct sheet_words *words, const char *label, uint64_t part, uint64_t whole);

// Multiply-adds in the unit that suits the dense ones.
void view_macs(struct sheet_words *words, uint64_t done, uint64_t dense);

void view_title(struct sheet_words *words, const char *input);

// The most probable class; nothing where logits is NULL. probabilities: n of workspace.
void view_answer(struct sheet_words *words, const vdt_model *model, const float *logits, size_t n,
                 float *probabilities);

// A rate that videos have; a usual one where `rate` is no number above 0.
double view_rate(double rate);

// A stream's frames into a picture or, `moving`, a video. Returns an exit status.
int view_stream_run(const struct settings *settings, bool moving);

#endif
