#include "format/json.h"

#include <jansson.h>

// The opaque type is jansson's own; it has no const-correct interface, so constness is cast here,
// once.
static json_t *inner(const struct json_value *value) {
    union {
        const struct json_value *in;
        json_t *out;
    } pointer = {.in = value};
    return pointer.out;
}

static struct json_value *outer(json_t *value) {
    return (struct json_value *)value;
}

// Deepest nesting of brackets outside strings.
static size_t nesting(const unsigned char *text, size_t bytes) {
    size_t depth = 0, deepest = 0;
    bool in_string = false;
    for (size_t i = 0; i < bytes; i++) {
        const unsigned char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > deepest) deepest = depth;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return deepest;
}

int json_value_parse(struct json_value **root, const unsigned char *text, size_t bytes,
                     size_t max_bytes, const char *name, vdt_error *error) {
    if (bytes > max_bytes) {
        return status_fail(error, VDT_ERROR_FORMAT,
                           "%s: expected at most %zu bytes of JSON, found %zu", name, max_bytes,
                           bytes);
    }
    if (bytes == 0) {
        return status_fail(error, VDT_ERROR_FORMAT, "%s: expected JSON, found an empty file", name);
    }
    const size_t depth = nesting(text, bytes);
    if (depth > JSON_MAX_DEPTH) {
        return status_fail(error, VDT_ERROR_FORMAT,
                           "%s: expected JSON nested at most %d deep, found %zu", name,
                           JSON_MAX_DEPTH, depth);
    }
    json_error_t failure;
    json_t *parsed = json_loadb((const char *)text, bytes, JSON_REJECT_DUPLICATES, &failure);
    if (!parsed) {
        return status_fail(error, VDT_ERROR_FORMAT, "%s: not valid JSON, line %d column %d: %s",
                           name, failure.line, failure.column, failure.text);
    }
    *root = outer(parsed);
    return VDT_OK;
}

void json_value_free(struct json_value **root) {
    if (*root) json_decref(inner(*root));
    *root = NULL;
}

bool json_value_is_object(const struct json_value *value) {
    return value && json_is_object(inner(value));
}

bool json_value_is_array(const struct json_value *value) {
    return value && json_is_array(inner(value));
}

bool json_value_is_null(const struct json_value *value) {
    return value && json_is_null(inner(value));
}

const char *json_value_kind(const struct json_value *value) {
    if (!value) return "nothing";
    switch (json_typeof(inner(value))) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a number with a fraction";
    case JSON_TRUE: return "true";
    case JSON_FALSE: return "false";
    case JSON_NULL: return "null";
    }
    return "something else";
}

const struct json_value *json_value_member(const struct json_value *value, const char *key) {
    return json_value_is_object(value) ? outer(json_object_get(inner(value), key)) : NULL;
}

size_t json_value_count(const struct json_value *value) {
    if (json_value_is_array(value)) return json_array_size(inner(value));
    return json_value_is_object(value) ? json_object_size(inner(value)) : 0;
}

const struct json_value *json_value_item(const struct json_value *array, size_t index) {
    return json_value_is_array(array) ? outer(json_array_get(inner(array), index)) : NULL;
}

static struct json_member at(void *position) {
    if (!position) return (struct json_member){0};
    return (struct json_member){.key = json_object_iter_key(position),
                                .value = outer(json_object_iter_value(position)),
                                .position = position};
}

struct json_member json_member_first(const struct json_value *object) {
    return at(json_value_is_object(object) ? json_object_iter(inner(object)) : NULL);
}

struct json_member json_member_next(const struct json_value *object, struct json_member member) {
    return at(json_object_iter_next(inner(object), member.position));
}

bool json_value_integer(const struct json_value *value, int64_t *out) {
    if (!value || !json_is_integer(inner(value))) return false;
    *out = json_integer_value(inner(value));
    return true;
}

bool json_value_number(const struct json_value *value, double *out) {
    if (!value || !json_is_number(inner(value))) return false;
    *out = json_number_value(inner(value));
    return true;
}

bool json_value_bool(const struct json_value *value, bool *out) {
    if (!value || !json_is_boolean(inner(value))) return false;
    *out = json_is_true(inner(value));
    return true;
}

const char *json_value_string(const struct json_value *value) {
    return value && json_is_string(inner(value)) ? json_string_value(inner(value)) : NULL;
}
