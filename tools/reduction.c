#include "reduction.h"

#include <stdlib.h>
#include <string.h>

#include "numbers.h"

/* ---- values -------------------------------------------------------------------------------- */

// "keep:" and the like: moves behind it where it is there.
static bool take_word(const char **text, const char *word) {
    const size_t n = strlen(word);
    if (strncmp(*text, word, n) != 0) return false;
    *text += n;
    return true;
}

/* ---- options ------------------------------------------------------------------------------- */

void reduction_init(struct reduction *reduction) {
    vdt_session_options defaults;
    vdt_session_options_init(&defaults);
    *reduction = (struct reduction){.rlt = defaults.rlt, .tome = defaults.tome};
}

bool reduction_rlt(struct reduction *reduction, const char *text) {
    vdt_rlt_options *rlt = &reduction->rlt;
    uint64_t keep = 0;
    reduction->texts[0] = text;
    if (strcmp(text, "off") == 0) {
        rlt->mode = VDT_RLT_OFF;
        return true;
    }
    const bool random = take_word(&text, "random:"), even = !random && take_word(&text, "even:");
    if (!random && !even && !take_word(&text, "keep:")) {
        rlt->mode = VDT_RLT_THRESHOLD;
        return take_number(&text, &rlt->tau) && *text == '\0' && rlt->tau >= 0.0;
    }
    rlt->mode = random ? VDT_RLT_RANDOM : even ? VDT_RLT_EVEN : VDT_RLT_KEEP;
    if (!take_integer(&text, UINT32_MAX, &keep)) return false;
    rlt->keep = (uint32_t)keep;
    if (random && take_word(&text, ":") && !take_integer(&text, UINT64_MAX, &rlt->seed))
        return false;
    return *text == '\0';
}

bool reduction_rlt_reference(struct reduction *reduction, const char *text) {
    reduction->texts[1] = text;
    const bool previous = strcmp(text, "previous") == 0;
    reduction->rlt.reference = previous ? VDT_RLT_PREVIOUS : VDT_RLT_RUN_HEAD;
    return previous || strcmp(text, "run_head") == 0;
}

bool reduction_rlt_lengths(struct reduction *reduction, const char *text) {
    static const struct {
        const char *name;
        uint32_t bit;
    } names[] = {{"bias", VDT_RLT_LENGTHS_BIAS},
                 {"pool", VDT_RLT_LENGTHS_POOL},
                 {"embed", VDT_RLT_LENGTHS_EMBED}};
    reduction->texts[2] = text;
    reduction->rlt.lengths = 0;
    if (strcmp(text, "none") == 0) return true;
    do {
        uint32_t bit = 0;
        for (size_t i = 0; i < sizeof names / sizeof *names && !bit; i++) {
            if (take_word(&text, names[i].name)) bit = names[i].bit;
        }
        if (!bit) return false;
        reduction->rlt.lengths |= bit;
    } while (take_word(&text, ","));
    return *text == '\0';
}

static bool read_list(struct reduction *reduction, const char *text) {
    vdt_tome_options *tome = &reduction->tome;
    tome->mode = VDT_TOME_LIST;
    tome->n_list = 0;
    do {
        uint64_t r = 0;
        if (tome->n_list == REDUCTION_LIST || !take_integer(&text, UINT32_MAX, &r)) return false;
        reduction->list[tome->n_list++] = (uint32_t)r;
    } while (take_word(&text, ","));
    return *text == '\0';
}

bool reduction_tome(struct reduction *reduction, const char *text) {
    vdt_tome_options *tome = &reduction->tome;
    const char *at = text;
    uint64_t r = 0;
    reduction->texts[3] = text;
    tome->mode = VDT_TOME_OFF;
    if (strcmp(text, "off") == 0) return true;
    if (strchr(text, ',')) return read_list(reduction, text);
    if (strchr(text, '%')) {
        tome->mode = VDT_TOME_PERCENT;
        return take_number(&at, &tome->percent) && strcmp(at, "%") == 0 && tome->percent >= 0.0 &&
               tome->percent <= 100.0;
    }
    tome->mode = VDT_TOME_SCHEDULE;
    tome->inflection = 0.0;
    if (!take_integer(&at, UINT32_MAX, &r)) return false;
    tome->r = (uint32_t)r;
    if (take_word(&at, ":") && !(take_number(&at, &tome->inflection) && tome->inflection >= -1.0 &&
                                 tome->inflection <= 1.0)) {
        return false;
    }
    return *at == '\0';
}

bool reduction_tome_attention(struct reduction *reduction, const char *text) {
    static const char *const names[] = {"auto", "proportional", "plain"};
    reduction->texts[4] = text;
    for (int i = 0; i <= VDT_TOME_PLAIN; i++) {
        if (strcmp(text, names[i]) != 0) continue;
        reduction->tome.attention = (vdt_tome_attention)i;
        return true;
    }
    return false;
}

int reduction_or_recommended(struct reduction *out, const struct reduction *typed,
                             const vdt_model *model) {
    const vdt_recommendation *advice = vdt_model_info_get(model)->recommended;
    *out = *typed;
    for (size_t i = 0; i < sizeof typed->texts / sizeof *typed->texts; i++) {
        if (typed->texts[i]) return 0;
    }
    if (!advice) return 0;
    const struct {
        const char *name, *text;
        bool (*read)(struct reduction *reduction, const char *text);
    } members[] = {{"rlt", advice->rlt, reduction_rlt},
                   {"rlt_reference", advice->rlt_reference, reduction_rlt_reference},
                   {"rlt_lengths", advice->rlt_lengths, reduction_rlt_lengths},
                   {"tome", advice->tome, reduction_tome},
                   {"tome_attention", advice->tome_attention, reduction_tome_attention}};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (!members[i].text || members[i].read(out, members[i].text)) continue;
        fprintf(stderr,
                "vidette: %s: vidette.json: %s: expected what --%s takes, found '%s'; --rlt off "
                "runs without it\n",
                vdt_model_info_get(model)->name, members[i].name, members[i].name, members[i].text);
        return -1;
    }
    return 0;
}

bool reduction_is_on(const struct reduction *reduction) {
    return reduction->rlt.mode != VDT_RLT_OFF || reduction->tome.mode != VDT_TOME_OFF;
}

void reduction_apply(const struct reduction *reduction, vdt_session_options *options) {
    options->rlt = reduction->rlt;
    options->tome = reduction->tome;
    options->tome.list = reduction->list;
}

/* ---- counts -------------------------------------------------------------------------------- */

void token_counts_add(struct token_counts *counts, const vdt_tokens *tokens) {
    counts->total += tokens->total;
    counts->kept += tokens->kept;
    counts->macs += tokens->macs;
    counts->macs_dense += tokens->macs_dense;
    counts->n_layers = tokens->n_layers;
    for (size_t i = 0; i < tokens->n_layers; i++) counts->layers[i] += tokens->layers[i];
}

static void put_integer(struct json_out *json, const char *key, uint64_t value) {
    json_key(json, key);
    json_integer(json, value);
}

void token_counts_print(struct json_out *json, const struct token_counts *counts) {
    json_key(json, "tokens");
    json_open(json, '{');
    put_integer(json, "total", counts->total);
    put_integer(json, "kept", counts->kept);
    put_integer(json, "final", counts->layers[counts->n_layers - 1]);
    json_key(json, "layers");
    json_open(json, '[');
    for (size_t i = 0; i < counts->n_layers; i++) json_integer(json, counts->layers[i]);
    json_close(json, ']');
    json_close(json, '}');
    json_key(json, "macs");
    json_open(json, '{');
    put_integer(json, "dense", counts->macs_dense);
    put_integer(json, "done", counts->macs);
    json_close(json, '}');
}

static void put_integers(struct json_out *json, const char *key, const uint32_t *values, size_t n) {
    json_key(json, key);
    json_open(json, '[');
    for (size_t i = 0; i < n; i++) json_integer(json, values[i]);
    json_close(json, ']');
}

void reduction_print_indices(struct json_out *json, const vdt_tokens *tokens) {
    put_integers(json, "kept", tokens->indices, tokens->kept);
    put_integers(json, "lengths", tokens->lengths, tokens->kept);
    json_key(json, "source");
    json_open(json, '[');
    for (size_t i = 0; i < tokens->kept; i++)
        json_integer(json, tokens->source[tokens->indices[i]]);
    json_close(json, ']');
    put_integers(json, "tokens_left", tokens->layers, tokens->n_layers);
}
