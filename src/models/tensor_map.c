#include "models/tensor_map.h"

#include <stdio.h>
#include <string.h>

#include "core/checked.h"

size_t geometry_position_rows(const struct geometry *geometry) {
    const size_t height = geometry->table_height ? geometry->table_height : geometry->height,
                 width = geometry->table_width ? geometry->table_width : geometry->width;
    return geometry->class_tokens + geometry->distillation_tokens + geometry->table_prefix +
           geometry_sequence_frames(geometry) / geometry->tubelet * (height / geometry->patch) *
               (width / geometry->patch);
}

static size_t dimension_size(const struct geometry *geometry, enum dimension dimension,
                             size_t block) {
    size_t h, w;
    switch (dimension) {
    case DIM_NONE: return 0;
    case DIM_1: return 1;
    case DIM_CHANNELS: return 3;
    case DIM_D: return geometry->d;
    case DIM_2D: return 2 * geometry->d;
    case DIM_3D: return 3 * geometry->d;
    case DIM_MLP: return geometry->mlp;
    case DIM_FC1: return geometry->gated ? 2 * geometry->mlp : geometry->mlp;
    case DIM_LABELS: return geometry->labels;
    case DIM_STEPS: return geometry->frames / geometry->tubelet;
    case DIM_TUBELET: return geometry->tubelet;
    case DIM_PATCH: return geometry->patch;
    case DIM_POSITIONS: return geometry_position_rows(geometry);
    case DIM_REGISTERS: return geometry->registers;
    case DIM_PROJECTION: return geometry->projection;
    case DIM_SNIPPETS: return 1 + geometry_snippets(geometry);
    case DIM_HEAD: return geometry->d / geometry->heads;
    case DIM_RELATIVE_H:
    case DIM_RELATIVE_W:
        geometry_attention_grid(geometry, block, &h, &w);
        return 2 * (dimension == DIM_RELATIVE_H ? h : w) - 1;
    }
    return 0;
}

/* ---- roles --------------------------------------------------------------------------------- */

// One tensor of a rule: the weight, or a pair's bias.
struct role {
    const struct tensor_rule *rule; // NULL: none
    bool bias, temporal;
};

static size_t parts_of(const struct tensor_rule *rule) {
    return rule->kind == RULE_TENSOR ? 1 : 2;
}

static enum slot role_slot(struct role role) {
    return (enum slot)(role.rule->slot + (role.bias ? 1 : 0));
}

static const char *role_suffix(struct role role) {
    if (role.rule->kind == RULE_TENSOR) return "";
    return role.bias ? ".bias" : ".weight";
}

// Writes the shape; returns the number of dimensions. A bias has its weight's first.
static size_t role_shape(size_t shape[TENSOR_DIMENSIONS], struct role role, size_t block,
                         const struct geometry *geometry) {
    size_t n = 0;
    while (role.rule->shape[n] != DIM_NONE && !(role.bias && n == 1)) {
        shape[n] = dimension_size(geometry, role.rule->shape[n], block);
        n++;
    }
    return n;
}

// What a file of any family may hold: RLT's length embeddings, (T / s, D), in its own files (1, T / s, D).
static const struct tensor_rule common_rules[] = {
    {SLOT_LENGTH_EMBEDDING,
     RULE_TENSOR,
     {DIM_STEPS, DIM_D},
     NEED_OPTIONAL,
     0,
     {"rlt.length_embedding.weight", "length_embed"}},
};
static const struct rule_table common_table = RULE_TABLE(common_rules);

// Calls `visit` for every tensor of every rule, weights before their biases, once a block where
// they are a block's, until one fails.
typedef int role_visitor(void *argument, struct role role, size_t block);

static int for_each_role(const struct family *family, size_t blocks, size_t temporal_blocks,
                         role_visitor *visit, void *argument) {
    for (size_t t = 0; t <= FAMILY_TABLES; t++) {
        const struct rule_table *table = t < FAMILY_TABLES ? family->tables[t] : &common_table;
        for (size_t i = 0; table && i < table->n; i++) {
            const struct tensor_rule *rule = &table->rules[i];
            const size_t first = table->temporal ? blocks : 0;
            const size_t copies = rule->slot < MODEL_SLOTS ? 1
                                  : table->temporal        ? temporal_blocks
                                                           : blocks;
            for (size_t n = 0; n < copies * parts_of(rule); n++) {
                const struct role role = {rule, n % parts_of(rule) == 1, table->temporal};
                const int status = visit(argument, role, first + n / parts_of(rule));
                if (status) return status;
            }
        }
    }
    return VDT_OK;
}

/* ---- names --------------------------------------------------------------------------------- */

// Whether `name` is `pattern`, with a number for '#' that goes to *block, and then `suffix`.
static bool matches(const char *pattern, const char *suffix, const char *name, size_t *block) {
    *block = 0;
    for (; *pattern; pattern++) {
        if (*pattern != '#') {
            if (*pattern != *name++) return false;
            continue;
        }
        const char *digit = name;
        size_t value = 0;
        while (*digit >= '0' && *digit <= '9' && value <= LIMIT_BLOCKS) {
            value = value * 10 + (size_t)(*digit++ - '0');
        }
        if (digit == name || (*name == '0' && digit > name + 1)) return false;
        *block = value;
        name = digit;
    }
    return strcmp(name, suffix) == 0;
}

struct search {
    const char *name;
    struct role found;
    size_t block;
};

static int try_role(void *argument, struct role role, size_t block) {
    (void)block; // the name says it
    struct search *search = argument;
    for (size_t i = 0; i < RULE_NAMES && role.rule->names[i] && !search->found.rule; i++) {
        if (matches(role.rule->names[i], role_suffix(role), search->name, &search->block)) {
            search->found = role;
        }
    }
    return search->found.rule ? VDT_END : VDT_OK;
}

// The role of the tensor called `name` and the block in its name.
static struct role find_role(const struct family *family, const char *name, size_t *block) {
    struct search search = {.name = name};
    for_each_role(family, 1, 1, try_role, &search);
    *block = search.block;
    return search.found;
}

// The role's first name with the family's prefix and the block's number, for messages.
static void role_name(char *text, size_t text_bytes, struct role role, const struct family *family,
                      const struct geometry *geometry, size_t block) {
    if (role.temporal) block -= geometry->blocks;
    const char *name = role.rule->names[0], *number = strchr(name, '#');
    if (number) {
        snprintf(text, text_bytes, "%s%.*s%zu%s%s", family->prefix, (int)(number - name), name,
                 block, number + 1, role_suffix(role));
    } else {
        snprintf(text, text_bytes, "%s%s%s", family->prefix, name, role_suffix(role));
    }
}

struct naming {
    char *text;
    size_t text_bytes, block;
    const struct family *family;
    const struct geometry *geometry;
    enum slot slot;
};

static int name_role(void *argument, struct role role, size_t block) {
    (void)block;
    const struct naming *naming = argument;
    const bool temporal = naming->slot >= MODEL_SLOTS && naming->block >= naming->geometry->blocks;
    const bool of_block = naming->slot >= MODEL_SLOTS;
    if (role_slot(role) != naming->slot || (of_block && role.temporal != temporal)) return VDT_OK;
    role_name(naming->text, naming->text_bytes, role, naming->family, naming->geometry,
              naming->block);
    return VDT_END;
}

void tensor_map_name(char *text, size_t text_bytes, const struct family *family,
                     const struct geometry *geometry, enum slot slot, size_t block) {
    struct naming naming = {text, text_bytes, block, family, geometry, slot};
    snprintf(text, text_bytes, "?");
    for_each_role(family, 1, 1, name_role, &naming);
}

// A pattern of unused tensors: '*' at the end or the beginning matches anything.
static bool matches_unused(const char *pattern, const char *name) {
    const size_t n = strlen(pattern), length = strlen(name);
    if (pattern[n - 1] == '*') return strncmp(pattern, name, n - 1) == 0;
    if (pattern[0] == '*') {
        return length >= n - 1 && strcmp(name + length - (n - 1), pattern + 1) == 0;
    }
    return strcmp(pattern, name) == 0;
}

static bool is_unused(const struct family *family, const char *name) {
    for (size_t i = 0; i < FAMILY_UNUSED && family->unused[i]; i++) {
        if (matches_unused(family->unused[i], name)) return true;
    }
    return false;
}

static const char *without_prefix(const char *name, const char *prefix) {
    const size_t n = strlen(prefix);
    return strncmp(name, prefix, n) == 0 ? name + n : name;
}

/* ---- placing ------------------------------------------------------------------------------- */

static const struct tensor **place(const struct tensor_map *map, enum slot slot, size_t block) {
    if (slot < MODEL_SLOTS) return &map->model[slot];
    return &map->blocks[block * BLOCK_SLOTS + (slot - MODEL_SLOTS)];
}

const struct tensor *tensor_map_find(const struct tensor_map *map, enum slot slot, size_t block) {
    return *place(map, slot, block);
}

// A tensor with a row a label: where the config names no labels, the first one says how many.
static bool is_classifier(struct role role) {
    return role.rule->shape[0] == DIM_LABELS;
}

static int check_tensor(const struct safetensors_entry *entry, struct role role, size_t block,
                        struct geometry *geometry, const char *file, vdt_error *error) {
    const struct tensor *tensor = &entry->tensor;
    const bool classifier = is_classifier(role);
    if (classifier && geometry->labels == 0 && tensor->n_dimensions > 0) {
        geometry->labels = tensor->shape[0];
    }
    size_t shape[TENSOR_DIMENSIONS];
    const size_t n = role_shape(shape, role, block, geometry);
    const size_t more = role.rule->slot == SLOT_LENGTH_EMBEDDING && tensor->n_dimensions == n + 1 &&
                        tensor->shape[0] == 1;
    if (tensor->n_dimensions != n + more ||
        memcmp(tensor->shape + more, shape, n * sizeof *shape) != 0) {
        char expected[96], found[96];
        tensor_shape_text(expected, sizeof expected, shape, n);
        tensor_shape_text(found, sizeof found, tensor->shape, tensor->n_dimensions);
        return status_fail(error, VDT_ERROR_FORMAT, "%s: tensor %s: expected shape %s%s, found %s",
                           file, entry->name, expected,
                           classifier ? " (one row a label of id2label)" : "", found);
    }
    if (tensor->dtype == DTYPE_OTHER) {
        return status_fail(error, VDT_ERROR_FORMAT,
                           "%s: tensor %s: expected f32, f16, bf16 or f64, found another dtype",
                           file, entry->name);
    }
    return VDT_OK;
}

static int place_tensor(struct tensor_map *map, struct geometry *geometry,
                        const struct family *family, const struct safetensors_entry *entry,
                        const char *file, vdt_error *error) {
    const char *name = without_prefix(entry->name, family->prefix);
    size_t block;
    const struct role role = find_role(family, name, &block);
    if (!role.rule) {
        if (is_unused(family, name) || is_unused(family, entry->name)) return VDT_OK;
        return status_fail(error, VDT_ERROR_FORMAT, "%s: tensor %s: unknown to the family %s", file,
                           entry->name, family->name);
    }
    const size_t blocks = role.temporal ? geometry->temporal_blocks : geometry->blocks;
    if (role.rule->slot >= MODEL_SLOTS && block >= blocks) {
        return status_fail(error, VDT_ERROR_FORMAT, "%s: tensor %s: the config has only %zu blocks",
                           file, entry->name, blocks);
    }
    if (role.temporal) block += geometry->blocks;
    const struct tensor **slot = place(map, role_slot(role), block);
    if (*slot) {
        return status_fail(error, VDT_ERROR_FORMAT, "%s: tensor %s: defined twice", file,
                           entry->name);
    }
    const int status = check_tensor(entry, role, block, geometry, file, error);
    if (status) return status;
    *slot = &entry->tensor;
    map->timm_names = map->timm_names || strncmp(name, "blocks.", 7) == 0;
    return VDT_OK;
}

/* ---- needs --------------------------------------------------------------------------------- */

static bool is_needed(const struct tensor_map *map, const struct geometry *geometry,
                      struct role role, size_t block) {
    const struct tensor_rule *rule = role.rule;
    if (role.bias) { // a bias is needed where its weight is
        return tensor_map_find(map, rule->slot, block) &&
               (rule->kind != RULE_PAIR_QKV || geometry->qkv_bias);
    }
    switch (rule->need) {
    case NEED_ALWAYS: return true;
    case NEED_OPTIONAL: return false;
    case NEED_WITH: return tensor_map_find(map, rule->other, block) != NULL;
    case NEED_UNLESS: return tensor_map_find(map, rule->other, block) == NULL;
    case NEED_QKV_BIAS: return geometry->qkv_bias;
    case NEED_NORM: return geometry->final_norm != FINAL_NORM_NONE;
    case NEED_POSITIONS: return geometry->positions != POSITION_NONE;
    case NEED_RELATIVE: return geometry->relative;
    }
    return true;
}

struct needs {
    const struct tensor_map *map;
    const struct geometry *geometry;
    const struct family *family;
    vdt_error *error;
};

static int check_need(void *argument, struct role role, size_t block) {
    const struct needs *needs = argument;
    const struct tensor_rule *rule = role.rule;
    const bool found = tensor_map_find(needs->map, role_slot(role), block) != NULL;
    char name[256];
    role_name(name, sizeof name, role, needs->family, needs->geometry, block);
    if (!found && is_needed(needs->map, needs->geometry, role, block)) {
        return status_fail(needs->error, VDT_ERROR_FORMAT, "weights: expected tensor %s, not found",
                           name);
    }
    if (found && role.bias && !tensor_map_find(needs->map, rule->slot, block)) {
        return status_fail(needs->error, VDT_ERROR_FORMAT,
                           "weights: tensor %s: has no weight beside it", name);
    }
    if (found && rule->slot == SLOT_GATE_WEIGHT && !needs->geometry->gated) {
        return status_fail(needs->error, VDT_ERROR_FORMAT,
                           "weights: tensor %s: the config says that the MLP is not gated", name);
    }
    if (found && rule->need == NEED_UNLESS && tensor_map_find(needs->map, rule->other, block)) {
        return status_fail(needs->error, VDT_ERROR_FORMAT,
                           "weights: tensor %s: defined twice, alone and fused with others", name);
    }
    return VDT_OK;
}

/* ---- open ---------------------------------------------------------------------------------- */

static int allocate(struct tensor_map *map, struct memory *memory, size_t blocks,
                    vdt_error *error) {
    map->model = mem_alloc(memory, MODEL_SLOTS, sizeof(struct tensor *), "tensors", error);
    map->blocks =
        mem_alloc(memory, blocks * BLOCK_SLOTS, sizeof(struct tensor *), "tensors", error);
    return map->model && map->blocks ? VDT_OK : VDT_ERROR_MEMORY;
}

int tensor_map_open(struct tensor_map *out, struct memory *memory, struct geometry *geometry,
                    const struct family *family, const struct checkpoint *checkpoint,
                    vdt_error *error) {
    struct tensor_map map = {0};
    int status = allocate(&map, memory, geometry->blocks + geometry->temporal_blocks, error);
    for (size_t s = 0; !status && s < checkpoint->n; s++) {
        const struct shard *shard = &checkpoint->shards[s];
        for (size_t i = 0; !status && i < shard->tensors.n; i++) {
            status = place_tensor(&map, geometry, family, &shard->tensors.entries[i], shard->name,
                                  error);
        }
    }
    struct needs needs = {&map, geometry, family, error};
    if (!status)
        status =
            for_each_role(family, geometry->blocks, geometry->temporal_blocks, check_need, &needs);
    if (status) {
        tensor_map_close(&map, memory);
    } else {
        *out = map;
    }
    return status;
}

// Whether random weights include a tensor: what is needed, and a classifier for labels.
static bool is_generated(const struct tensor_map *map, const struct geometry *geometry,
                         struct role role, size_t block) {
    const enum slot slot = role.rule->slot;
    if (slot == SLOT_CLASSIFIER_WEIGHT || slot == SLOT_FC_NORM_WEIGHT) return geometry->labels > 0;
    return is_needed(map, geometry, role, block);
}

struct making {
    struct tensor_map *map;
    const struct geometry *geometry;
};

static int place_shape(void *argument, struct role role, size_t block) {
    const struct making *making = argument;
    struct tensor_map *map = making->map;
    if (!is_generated(map, making->geometry, role, block)) return VDT_OK;
    const enum slot slot = role_slot(role);
    const size_t at = slot < MODEL_SLOTS ? (size_t)slot : slot + block * BLOCK_SLOTS;
    struct tensor *tensor = &map->shapes[at];
    *tensor = (struct tensor){.dtype = DTYPE_F32, .element_bytes = sizeof(float), .count = 1};
    tensor->n_dimensions = role_shape(tensor->shape, role, block, making->geometry);
    for (size_t i = 0; i < tensor->n_dimensions; i++) tensor->count *= tensor->shape[i];
    *place(map, slot, block) = tensor;
    return VDT_OK;
}

int tensor_map_open_empty(struct tensor_map *out, struct memory *memory,
                          const struct geometry *geometry, const struct family *family,
                          vdt_error *error) {
    struct tensor_map map = {0};
    int status = allocate(&map, memory, geometry->blocks + geometry->temporal_blocks, error);
    if (!status) {
        map.shapes = mem_alloc(
            memory, MODEL_SLOTS + (geometry->blocks + geometry->temporal_blocks) * BLOCK_SLOTS,
            sizeof *map.shapes, "tensors", error);
        if (!map.shapes) status = VDT_ERROR_MEMORY;
    }
    struct making making = {&map, geometry};
    if (!status)
        status = for_each_role(family, geometry->blocks, geometry->temporal_blocks, place_shape,
                               &making);
    if (status) {
        tensor_map_close(&map, memory);
    } else {
        *out = map;
    }
    return status;
}

void tensor_map_close(struct tensor_map *map, struct memory *memory) {
    mem_free(memory, map->shapes);
    mem_free(memory, map->model);
    mem_free(memory, map->blocks);
    *map = (struct tensor_map){0};
}
