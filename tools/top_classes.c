#include "top_classes.h"

// The most probable class not named yet; named ones are marked by a negative probability.
static size_t take_best(float *probabilities, size_t n) {
    const size_t best = vdt_argmax(probabilities, n);
    probabilities[best] = -probabilities[best] - 1.0f;
    return best;
}

static float named_probability(const float *probabilities, size_t id) {
    return -(probabilities[id] + 1.0f);
}

void print_top_classes(struct json_out *json, FILE *file, const vdt_model *model,
                       float *probabilities, size_t n, size_t top) {
    for (size_t i = 0; i < top && i < n; i++) {
        const size_t id = take_best(probabilities, n);
        const float probability = named_probability(probabilities, id);
        if (!json) {
            fprintf(file, "    %5.1f %%  %s\n", 100.0 * (double)probability,
                    vdt_model_label(model, id));
            continue;
        }
        json_open(json, '{');
        json_key(json, "id");
        json_integer(json, id);
        json_key(json, "label");
        json_text(json, vdt_model_label(model, id));
        json_key(json, "probability");
        json_number(json, (double)probability, 6);
        json_close(json, '}');
    }
}
