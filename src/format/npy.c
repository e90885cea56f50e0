#include "format/npy.h"

#include <stdio.h>
#include <string.h>

#include "core/checked.h"

// The header is a Python literal that every writer forms alike: a dict of three keys. It is read as
// tokens, so that spacing, key order and quotes are free.
struct cursor {
    const char *at, *end;
};

static void skip_spaces(struct cursor *cursor) {
    while (cursor->at < cursor->end &&
           (*cursor->at == ' ' || *cursor->at == '\n' || *cursor->at == '\t')) {
        cursor->at++;
    }
}

static bool take(struct cursor *cursor, const char *word) {
    skip_spaces(cursor);
    const size_t n = strlen(word);
    if ((size_t)(cursor->end - cursor->at) < n || memcmp(cursor->at, word, n) != 0) return false;
    cursor->at += n;
    return true;
}

// 'text' or "text", at most text_bytes - 1 characters.
static bool take_string(struct cursor *cursor, char *text, size_t text_bytes) {
    skip_spaces(cursor);
    if (cursor->at == cursor->end || (*cursor->at != '\'' && *cursor->at != '"')) return false;
    const char quote = *cursor->at++;
    size_t n = 0;
    while (cursor->at < cursor->end && *cursor->at != quote) {
        if (n + 1 >= text_bytes) return false;
        text[n++] = *cursor->at++;
    }
    if (cursor->at == cursor->end) return false;
    cursor->at++;
    text[n] = '\0';
    return true;
}

static bool take_size(struct cursor *cursor, size_t *size) {
    skip_spaces(cursor);
    const char *first = cursor->at;
    size_t value = 0;
    for (; cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9'; cursor->at++) {
        if (!checked_multiply(&value, value, 10) ||
            !checked_add(&value, value, (size_t)(*cursor->at - '0'))) {
            return false;
        }
    }
    *size = value;
    return cursor->at > first;
}

static bool take_shape(struct cursor *cursor, struct tensor *array) {
    if (!take(cursor, "(")) return false;
    array->n_dimensions = 0;
    array->count = 1;
    while (!take(cursor, ")")) {
        size_t size;
        if (array->n_dimensions == TENSOR_DIMENSIONS || !take_size(cursor, &size) ||
            !checked_multiply(&array->count, array->count, size)) {
            return false;
        }
        array->shape[array->n_dimensions++] = size;
        if (!take(cursor, ",")) return take(cursor, ")");
    }
    return true;
}

struct header {
    char descr[32];
    bool fortran_order;
    bool has_descr, has_order, has_shape;
};

static bool take_dict(struct cursor *cursor, struct header *header, struct tensor *array) {
    if (!take(cursor, "{")) return false;
    while (!take(cursor, "}")) {
        char key[32];
        if (!take_string(cursor, key, sizeof key) || !take(cursor, ":")) return false;
        if (strcmp(key, "descr") == 0 && !header->has_descr) {
            header->has_descr = take_string(cursor, header->descr, sizeof header->descr);
            if (!header->has_descr) return false;
        } else if (strcmp(key, "fortran_order") == 0 && !header->has_order) {
            header->fortran_order = take(cursor, "True");
            header->has_order = header->fortran_order || take(cursor, "False");
            if (!header->has_order) return false;
        } else if (strcmp(key, "shape") == 0 && !header->has_shape) {
            header->has_shape = take_shape(cursor, array);
            if (!header->has_shape) return false;
        } else {
            return false;
        }
        if (!take(cursor, ",")) {
            if (!take(cursor, "}")) return false;
            break;
        }
    }
    return header->has_descr && header->has_order && header->has_shape;
}

int npy_parse_u8(struct tensor *out, const unsigned char *data, size_t bytes, const char *name,
                 vdt_error *error) {
    static const unsigned char magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
    if (bytes < 10 || memcmp(data, magic, sizeof magic) != 0) {
        return status_fail(error, VDT_ERROR_FORMAT,
                           "%s: expected a NumPy array, found no NumPy header", name);
    }
    const size_t start = data[6] == 1 ? 10 : 12;
    size_t length = (size_t)data[8] | (size_t)data[9] << 8;
    if (data[6] >= 2 && bytes >= start) length |= (size_t)data[10] << 16 | (size_t)data[11] << 24;
    if (data[6] < 1 || data[6] > 3 || bytes < start || length > bytes - start) {
        return status_fail(error, VDT_ERROR_FORMAT,
                           "%s: the NumPy header is cut short or of an unknown version", name);
    }
    struct tensor array = {.dtype = DTYPE_OTHER, .element_bytes = 1, .data = data + start + length};
    struct header header = {0};
    struct cursor cursor = {(const char *)data + start, (const char *)data + start + length};
    if (!take_dict(&cursor, &header, &array)) {
        return status_fail(error, VDT_ERROR_FORMAT, "%s: the NumPy header is malformed", name);
    }
    if ((strcmp(header.descr, "|u1") != 0 && strcmp(header.descr, "u1") != 0) ||
        header.fortran_order) {
        return status_fail(error, VDT_ERROR_UNSUPPORTED,
                           "%s: expected uint8 ('|u1') in C order, found '%s'%s", name,
                           header.descr, header.fortran_order ? " in Fortran order" : "");
    }
    if (array.count > bytes - start - length) {
        return status_fail(error, VDT_ERROR_FORMAT, "%s: expected %zu bytes of data, found %zu",
                           name, array.count, bytes - start - length);
    }
    *out = array;
    return VDT_OK;
}

vdt_status vdt_npy_header(char header[VDT_NPY_HEADER], const size_t *shape, size_t n_dimensions,
                          vdt_error *error) {
    char text[VDT_NPY_HEADER];
    size_t at =
        (size_t)snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (size_t i = 0; i < n_dimensions && at < sizeof text; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, "%zu%s", shape[i],
                               n_dimensions == 1      ? ","
                               : i + 1 < n_dimensions ? ", "
                                                      : "");
    }
    if (at < sizeof text) at += (size_t)snprintf(text + at, sizeof text - at, "), }");
    if (n_dimensions > 5 || at > VDT_NPY_HEADER - 11) {
        return status_fail(error, VDT_ERROR_ARGUMENT,
                           "NumPy header: expected at most 5 dimensions of ordinary size");
    }
    memset(header, ' ', VDT_NPY_HEADER);
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10); // version 1.0, 0x76 = 118 bytes follow
    memcpy(header + 10, text, at);
    header[VDT_NPY_HEADER - 1] = '\n';
    return VDT_OK;
}
