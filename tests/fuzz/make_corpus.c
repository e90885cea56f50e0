// make_corpus DIRECTORY: the seeds of fuzz_safetensors that are models, one file for each variant
// of tiny_model.h, with every tensor that its family knows, optional ones too.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "tiny_model.h"

struct text {
    char bytes[16384];
    size_t n, data; // data: bytes of the tensors so far
};

static size_t size_of(const struct geometry *g, enum dimension dimension) {
    const size_t grid = g->height / g->patch * (g->width / g->patch);
    const bool clip = g->positions == POSITION_FIXED;
    switch (dimension) {
    case DIM_NONE: break;
    case DIM_1: return 1;
    case DIM_CHANNELS: return 3;
    case DIM_D: return g->d;
    case DIM_2D: return 2 * g->d;
    case DIM_3D: return 3 * g->d;
    case DIM_MLP: return g->mlp;
    case DIM_FC1: return g->gated ? 2 * g->mlp : g->mlp;
    case DIM_LABELS: return g->labels;
    case DIM_STEPS: return g->frames / g->tubelet;
    case DIM_TUBELET: return g->tubelet;
    case DIM_PATCH: return g->patch;
    case DIM_POSITIONS:
        return g->class_tokens + g->distillation_tokens + g->table_prefix +
               grid * (clip ? g->frames / g->tubelet : 1);
    case DIM_REGISTERS: return g->registers;
    case DIM_PROJECTION: return g->projection;
    case DIM_SNIPPETS: return 1 + geometry_snippets(g);
    case DIM_HEAD: return g->d / g->heads;
    case DIM_RELATIVE_H: return 2 * (g->height / g->patch) - 1;
    case DIM_RELATIVE_W: return 2 * (g->width / g->patch) - 1;
    }
    return 0;
}

static void add_tensor(struct text *text, const char *name, const char *suffix,
                       const enum dimension *shape, size_t n, const struct geometry *geometry) {
    char sizes[128] = "";
    size_t count = 1, at = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t size = size_of(geometry, shape[i]);
        count *= size;
        at += (size_t)snprintf(sizes + at, sizeof sizes - at, "%s%zu", i > 0 ? "," : "", size);
    }
    const char *number = strchr(name, '#');
    const int before = (int)(number ? number - name : (ptrdiff_t)strlen(name));
    const size_t bytes = count * sizeof(float);
    text->n +=
        (size_t)snprintf(text->bytes + text->n, sizeof text->bytes - text->n,
                         "%s\"%.*s%s%s%s\":{\"dtype\":\"F32\",\"shape\":[%s],"
                         "\"data_offsets\":[%zu,%zu]}",
                         text->n > 0 ? "," : "{", before, name, number ? "0" : "",
                         number ? number + 1 : "", suffix, sizes, text->data, text->data + bytes);
    text->data += bytes;
    FUZZ_REQUIRE(text->n < sizeof text->bytes - 2);
}

// One way to hold each thing: q, k and v apart, a gate where the MLP is gated.
static bool is_written(const struct tensor_rule *rule, const struct geometry *geometry) {
    const bool gate = rule->slot == SLOT_GATE_WEIGHT || rule->slot == SLOT_UP_WEIGHT;
    const bool replaced = rule->slot == SLOT_FC1_WEIGHT && rule->need == NEED_UNLESS;
    if (rule->slot == SLOT_QKV_WEIGHT) return false;
    if (geometry->gated) return !replaced;
    return !gate;
}

static void add_rule(struct text *text, const struct tensor_rule *rule,
                     const struct geometry *geometry) {
    size_t n = 0;
    while (n < 6 && rule->shape[n] != DIM_NONE) n++;
    const bool pair = rule->kind != RULE_TENSOR;
    add_tensor(text, rule->names[0], pair ? ".weight" : "", rule->shape, n, geometry);
    if (pair) add_tensor(text, rule->names[0], ".bias", rule->shape, 1, geometry);
}

static void write_model(const char *path, const struct text *text) {
    FILE *file = fopen(path, "wb");
    FUZZ_REQUIRE(file != NULL);
    for (size_t i = 0; i < 8; i++) fputc((int)(text->n >> 8 * i & 0xff), file);
    fwrite(text->bytes, 1, text->n, file);
    for (size_t i = 0; i < text->data / sizeof(float); i++) {
        const float value = 0.25f - (float)(i % 7) * 0.1f;
        fwrite(&value, sizeof value, 1, file);
    }
    FUZZ_REQUIRE(fclose(file) == 0);
}

int main(int argc, char **argv) {
    for (size_t variant = 0; argc == 2 && variant < TINY_VARIANTS; variant++) {
        struct geometry geometry;
        const struct family *family = tiny_model(&geometry, variant);
        geometry.labels = 3;
        struct text *text = calloc(1, sizeof *text);
        FUZZ_REQUIRE(text != NULL);
        for (size_t t = 0; t < FAMILY_TABLES && family->tables[t]; t++) {
            for (size_t i = 0; i < family->tables[t]->n; i++) {
                const struct tensor_rule *rule = &family->tables[t]->rules[i];
                if (is_written(rule, &geometry)) add_rule(text, rule, &geometry);
            }
        }
        text->bytes[text->n++] = '}';
        char path[1024];
        snprintf(path, sizeof path, "%s/%s%s", argv[1], family->name,
                 geometry.gated ? "_gated" : "");
        write_model(path, text);
        free(text);
    }
    return argc == 2 ? 0 : 2;
}
