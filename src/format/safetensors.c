#include "format/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "format/json.h"

enum { MAX_HEADER = 100 * 1000 * 1000 };

// Where a tensor's bytes lie in the data part.
struct span {
    size_t begin, end;
    const char *name;
};

static const struct {
    const char *name;
    enum dtype dtype;
    size_t bytes;
} dtypes[] = {
    {"F32", DTYPE_F32, 4},       {"F16", DTYPE_F16, 2},       {"BF16", DTYPE_BF16, 2},
    {"F64", DTYPE_F64, 8},       {"I64", DTYPE_OTHER, 8},     {"U64", DTYPE_OTHER, 8},
    {"I32", DTYPE_OTHER, 4},     {"U32", DTYPE_OTHER, 4},     {"I16", DTYPE_OTHER, 2},
    {"U16", DTYPE_OTHER, 2},     {"I8", DTYPE_OTHER, 1},      {"U8", DTYPE_OTHER, 1},
    {"BOOL", DTYPE_OTHER, 1},    {"F8_E4M3", DTYPE_OTHER, 1}, {"F8_E5M2", DTYPE_OTHER, 1},
    {"F8_E8M0", DTYPE_OTHER, 1}, {"C64", DTYPE_OTHER, 8},
};

static int parse_dtype(struct tensor *tensor, const struct json_value *value, const char *file,
                       const char *name, vdt_error *error) {
    const char *text = json_value_string(value);
    for (size_t i = 0; text && i < sizeof dtypes / sizeof *dtypes; i++) {
        if (strcmp(text, dtypes[i].name) != 0) continue;
        tensor->dtype = dtypes[i].dtype;
        tensor->element_bytes = dtypes[i].bytes;
        return VDT_OK;
    }
    return status_fail(error, VDT_ERROR_FORMAT, "%s: tensor %s: unknown dtype %s", file, name,
                       text ? text : json_value_kind(value));
}

static int parse_shape(struct tensor *tensor, const struct json_value *value, const char *file,
                       const char *name, vdt_error *error) {
    const size_t n = json_value_count(value);
    if (!json_value_is_array(value) || n > TENSOR_DIMENSIONS) {
        return status_fail(
            error, VDT_ERROR_FORMAT,
            "%s: tensor %s: expected a shape of at most %d dimensions, found %s of %zu", file, name,
            TENSOR_DIMENSIONS, json_value_kind(value), n);
    }
    tensor->n_dimensions = n;
    tensor->count = 1;
    for (size_t i = 0; i < n; i++) {
        int64_t size;
        if (!json_value_integer(json_value_item(value, i), &size) || size < 0 ||
            !checked_multiply(&tensor->count, tensor->count, (size_t)size)) {
            return status_fail(error, VDT_ERROR_FORMAT,
                               "%s: tensor %s: dimension %zu of its shape is not a size", file,
                               name, i);
        }
        tensor->shape[i] = (size_t)size;
    }
    return VDT_OK;
}

static int parse_offsets(struct span *span, const struct tensor *tensor,
                         const struct json_value *value, size_t data_bytes, const char *file,
                         const char *name, vdt_error *error) {
    int64_t begin, end;
    size_t bytes;
    if (json_value_count(value) != 2 || !json_value_integer(json_value_item(value, 0), &begin) ||
        !json_value_integer(json_value_item(value, 1), &end) || begin < 0 || end < begin) {
        return status_fail(
            error, VDT_ERROR_FORMAT,
            "%s: tensor %s: expected data_offsets [begin, end] with 0 <= begin <= end", file, name);
    }
    if ((uint64_t)end > data_bytes) {
        return status_fail(
            error, VDT_ERROR_FORMAT,
            "%s: tensor %s: its data ends at byte %lld, the file has %zu (truncated?)", file, name,
            (long long)end, data_bytes);
    }
    if (!checked_multiply(&bytes, tensor->count, tensor->element_bytes) ||
        bytes != (size_t)(end - begin)) {
        char shape[96];
        tensor_shape_text(shape, sizeof shape, tensor->shape, tensor->n_dimensions);
        return status_fail(error, VDT_ERROR_FORMAT,
                           "%s: tensor %s: expected %zu-byte numbers of shape %s, found %lld bytes",
                           file, name, tensor->element_bytes, shape, (long long)(end - begin));
    }
    *span = (struct span){.begin = (size_t)begin, .end = (size_t)end, .name = name};
    return VDT_OK;
}

static int compare_spans(const void *a, const void *b) {
    const struct span *left = a, *right = b;
    if (left->begin != right->begin) return left->begin < right->begin ? -1 : 1;
    return left->end < right->end ? -1 : left->end > right->end;
}

static int check_overlap(struct span *spans, size_t n, const char *file, vdt_error *error) {
    qsort(spans, n, sizeof *spans, compare_spans);
    for (size_t i = 1; i < n; i++) {
        if (spans[i].begin < spans[i - 1].end) {
            return status_fail(error, VDT_ERROR_FORMAT, "%s: tensors %s and %s share bytes", file,
                               spans[i - 1].name, spans[i].name);
        }
    }
    return VDT_OK;
}

static int parse_entries(struct safetensors *file, struct span *spans, const unsigned char *data,
                         size_t data_bytes, const char *name, vdt_error *error) {
    for (struct json_member m = json_member_first(file->header); m.key;
         m = json_member_next(file->header, m)) {
        if (strcmp(m.key, "__metadata__") == 0) continue;
        struct safetensors_entry *entry = &file->entries[file->n];
        struct tensor *tensor = &entry->tensor;
        if (!json_value_is_object(m.value)) {
            return status_fail(error, VDT_ERROR_FORMAT,
                               "%s: tensor %s: expected an object, found %s", name, m.key,
                               json_value_kind(m.value));
        }
        int status = parse_dtype(tensor, json_value_member(m.value, "dtype"), name, m.key, error);
        if (!status)
            status = parse_shape(tensor, json_value_member(m.value, "shape"), name, m.key, error);
        if (!status) {
            status =
                parse_offsets(&spans[file->n], tensor, json_value_member(m.value, "data_offsets"),
                              data_bytes, name, m.key, error);
        }
        if (status) return status;
        tensor->data = data + spans[file->n].begin;
        entry->name = m.key;
        file->n++;
    }
    return check_overlap(spans, file->n, name, error);
}

static int read_header_length(size_t *header, const unsigned char *data, size_t bytes,
                              const char *name, vdt_error *error) {
    if (bytes < 8) {
        return status_fail(error, VDT_ERROR_FORMAT,
                           "%s: expected a safetensors file, found %zu bytes", name, bytes);
    }
    uint64_t length = 0;
    for (size_t i = 8; i-- > 0;) length = length << 8 | data[i];
    if (length > MAX_HEADER || length > bytes - 8) {
        return status_fail(
            error, VDT_ERROR_FORMAT,
            "%s: its header claims %llu bytes, the file has %zu (not safetensors, or truncated)",
            name, (unsigned long long)length, bytes);
    }
    *header = (size_t)length;
    return VDT_OK;
}

int safetensors_parse(struct safetensors *out, struct memory *memory, const unsigned char *data,
                      size_t bytes, const char *name, vdt_error *error) {
    struct safetensors file = {.memory = memory};
    size_t header = 0;
    int status = read_header_length(&header, data, bytes, name, error);
    if (!status) status = json_value_parse(&file.header, data + 8, header, MAX_HEADER, name, error);
    if (!status && !json_value_is_object(file.header)) {
        status = status_fail(error, VDT_ERROR_FORMAT,
                             "%s: expected its header to be an object, found %s", name,
                             json_value_kind(file.header));
    }
    struct span *spans = NULL;
    if (!status) {
        const size_t n = json_value_count(file.header);
        file.entries = mem_alloc(memory, n, sizeof *file.entries, name, error);
        spans = mem_alloc(memory, n, sizeof *spans, name, error);
        if (!file.entries || !spans) status = VDT_ERROR_MEMORY;
    }
    if (!status)
        status = parse_entries(&file, spans, data + 8 + header, bytes - 8 - header, name, error);
    mem_free(memory, spans);
    if (status) {
        safetensors_free(&file);
    } else {
        *out = file;
    }
    return status;
}

void safetensors_free(struct safetensors *file) {
    if (file->memory) mem_free(file->memory, file->entries);
    json_value_free(&file->header);
    *file = (struct safetensors){0};
}
