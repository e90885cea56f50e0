#include <stdio.h>
#include <string.h>

#include "view.h"

char *view_tile(struct sheet_words *words, const char *label) {
    struct sheet_tile *tile = &words->tiles[words->n_tiles++];
    tile->label = label;
    return tile->value;
}

void view_share(struct sheet_words *words, const char *label, uint64_t part, uint64_t whole) {
    const double percent = 100.0 * (double)part / (double)whole;
    snprintf(view_tile(words, label), SHEET_TEXT, "%llu  (%.*f %%)", (unsigned long long)part,
             percent < 9.95, percent);
}

void view_macs(struct sheet_words *words, uint64_t done, uint64_t dense) {
    const bool giga = dense >= 1000000000u;
    const double unit = giga ? 1e-9 : 1e-6;
    char *text = view_tile(words, giga ? "GMAC" : "MMAC");
    if (done == dense)
        snprintf(text, SHEET_TEXT, "%.2f", (double)dense * unit);
    else
        snprintf(text, SHEET_TEXT, "%.2f of %.2f  (%.0f %%)", (double)done * unit,
                 (double)dense * unit, 100.0 * (double)done / (double)dense);
}

void view_title(struct sheet_words *words, const char *input) {
    const char *slash = strrchr(input, '/');
    snprintf(words->title, sizeof words->title, "%s", slash && slash[1] ? slash + 1 : input);
}

void view_answer(struct sheet_words *words, const vdt_model *model, const float *logits, size_t n,
                 float *probabilities) {
    words->answer = NULL;
    if (!logits) return;
    memcpy(probabilities, logits, n * sizeof *probabilities);
    vdt_softmax(probabilities, n);
    const size_t id = vdt_argmax(probabilities, n);
    words->answer = vdt_model_label(model, id);
    words->probability = (double)probabilities[id];
}

double view_rate(double rate) {
    if (!(rate > 0.0)) return 10.0;
    return rate < 1.0 ? 1.0 : rate > 60.0 ? 60.0 : rate;
}
