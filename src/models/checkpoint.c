#include "models/checkpoint.h"

#include <limits.h>
#include <string.h>

#include "format/hfconfig.h"

enum { MAX_SHARDS = 4096 };

static int open_shard(struct checkpoint *checkpoint, const char *directory, const char *name,
                      vdt_error *error) {
    struct shard *shard = &checkpoint->shards[checkpoint->n++];
    char path[PATH_MAX];
    shard->name = mem_string(checkpoint->memory, name, strlen(name), error);
    if (!shard->name) return VDT_ERROR_MEMORY;
    int status = io_join(path, sizeof path, directory, name, error);
    if (!status) status = io_map(&shard->mapping, path, error);
    if (!status) {
        status = safetensors_parse(&shard->tensors, checkpoint->memory, shard->mapping.data,
                                   shard->mapping.bytes, path, error);
    }
    return status;
}

static const struct shard *find_shard(const struct checkpoint *checkpoint, const char *name) {
    for (size_t i = 0; i < checkpoint->n; i++) {
        if (strcmp(checkpoint->shards[i].name, name) == 0) return &checkpoint->shards[i];
    }
    return NULL;
}

static bool has_tensor(const struct safetensors *tensors, const char *name) {
    for (size_t i = 0; i < tensors->n; i++) {
        if (strcmp(tensors->entries[i].name, name) == 0) return true;
    }
    return false;
}

// A file of the same directory: no path in it.
static bool is_plain_name(const char *name) {
    return name && name[0] != '\0' && name[0] != '.' && !strchr(name, '/');
}

static int open_shards(struct checkpoint *checkpoint, const char *directory,
                       const struct json_value *index, const char *path, vdt_error *error) {
    const struct json_value *map = json_value_member(index, "weight_map");
    if (!json_value_is_object(map)) {
        return status_fail(error, VDT_ERROR_FORMAT, "%s: weight_map: expected an object, found %s",
                           path, json_value_kind(map));
    }
    for (struct json_member m = json_member_first(map); m.key; m = json_member_next(map, m)) {
        const char *name = json_value_string(m.value);
        if (!is_plain_name(name)) {
            return status_fail(error, VDT_ERROR_FORMAT,
                               "%s: tensor %s: expected the name of a file beside it, found %s",
                               path, m.key, name ? name : json_value_kind(m.value));
        }
        if (!find_shard(checkpoint, name)) {
            if (checkpoint->n == MAX_SHARDS) {
                return status_fail(error, VDT_ERROR_FORMAT, "%s: more than %d shards", path,
                                   MAX_SHARDS);
            }
            const int status = open_shard(checkpoint, directory, name, error);
            if (status) return status;
        }
        if (!has_tensor(&find_shard(checkpoint, name)->tensors, m.key)) {
            return status_fail(error, VDT_ERROR_FORMAT, "%s: tensor %s: expected in %s, not there",
                               path, m.key, name);
        }
    }
    return VDT_OK;
}

static int open_index(struct checkpoint *checkpoint, const char *directory, const char *path,
                      vdt_error *error) {
    struct mapping mapping = {0};
    struct json_value *index = NULL;
    checkpoint->shards =
        mem_alloc(checkpoint->memory, MAX_SHARDS, sizeof *checkpoint->shards, "shards", error);
    int status = checkpoint->shards ? io_map(&mapping, path, error) : VDT_ERROR_MEMORY;
    if (!status) {
        status =
            json_value_parse(&index, mapping.data, mapping.bytes, CONFIG_MAX_BYTES, path, error);
    }
    if (!status) status = open_shards(checkpoint, directory, index, path, error);
    json_value_free(&index);
    io_unmap(&mapping);
    return status;
}

static int open_single(struct checkpoint *checkpoint, const char *directory, vdt_error *error) {
    checkpoint->shards =
        mem_alloc(checkpoint->memory, 1, sizeof *checkpoint->shards, "shards", error);
    if (!checkpoint->shards) return VDT_ERROR_MEMORY;
    return open_shard(checkpoint, directory, "model.safetensors", error);
}

static bool is_there(const char *directory, const char *name, char *path, size_t path_bytes) {
    return io_join(path, path_bytes, directory, name, NULL) == VDT_OK && io_is_file(path);
}

int checkpoint_open(struct checkpoint *out, struct memory *memory, const char *directory,
                    vdt_error *error) {
    struct checkpoint checkpoint = {.memory = memory};
    char path[PATH_MAX];
    int status;
    if (is_there(directory, "model.safetensors", path, sizeof path)) {
        status = open_single(&checkpoint, directory, error);
    } else if (is_there(directory, "model.safetensors.index.json", path, sizeof path)) {
        status = open_index(&checkpoint, directory, path, error);
    } else if (is_there(directory, "pytorch_model.bin", path, sizeof path) ||
               is_there(directory, "pytorch_model.bin.index.json", path, sizeof path)) {
        status = status_fail(
            error, VDT_ERROR_UNSUPPORTED,
            "%s: expected model.safetensors, found pickled weights, which can run any code and "
            "are never read; convert them once with scripts/convert_weights.py",
            directory);
    } else {
        status = status_fail(
            error, VDT_ERROR_IO,
            "%s: expected model.safetensors or model.safetensors.index.json, found neither",
            directory);
    }
    if (status) {
        checkpoint_close(&checkpoint);
    } else {
        *out = checkpoint;
    }
    return status;
}

void checkpoint_close(struct checkpoint *checkpoint) {
    for (size_t i = 0; i < checkpoint->n; i++) {
        safetensors_free(&checkpoint->shards[i].tensors);
        io_unmap(&checkpoint->shards[i].mapping);
        mem_free(checkpoint->memory, checkpoint->shards[i].name);
    }
    if (checkpoint->memory) mem_free(checkpoint->memory, checkpoint->shards);
    *checkpoint = (struct checkpoint){0};
}
