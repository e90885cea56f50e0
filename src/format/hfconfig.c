#include "format/hfconfig.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void config_fail(struct config *config, vdt_status status, const char *format, ...) {
    if (config->status != VDT_OK) return;
    char message[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    config->status = status_fail(config->error, status, "%s: %s", config->file, message);
}

// The member, or NULL where it is absent or null.
static const struct json_value *find(const struct config *config, const char *key) {
    const struct json_value *value = json_value_member(config->object, key);
    return json_value_is_null(value) ? NULL : value;
}

bool config_has(const struct config *config, const char *key) {
    return find(config, key) != NULL;
}

static size_t to_size(struct config *config, const char *key, const struct json_value *value,
                      size_t min, size_t max) {
    int64_t number;
    if (!json_value_integer(value, &number)) {
        config_fail(config, VDT_ERROR_FORMAT, "%s: expected an integer, found %s", key,
                    json_value_kind(value));
        return min;
    }
    if (number < 0 || (uint64_t)number < min || (uint64_t)number > max) {
        config_fail(config, VDT_ERROR_FORMAT, "%s: expected %zu..%zu, found %lld", key, min, max,
                    (long long)number);
        return min;
    }
    return (size_t)number;
}

size_t config_size(struct config *config, const char *key, size_t fallback, size_t min,
                   size_t max) {
    const struct json_value *value = find(config, key);
    return value ? to_size(config, key, value, min, max) : fallback;
}

void config_sizes(struct config *config, const char *key, size_t *sizes, size_t count,
                  size_t fallback, size_t min, size_t max) {
    const struct json_value *value = find(config, key);
    const bool is_array = json_value_is_array(value);
    if (is_array && json_value_count(value) != count) {
        config_fail(config, VDT_ERROR_FORMAT, "%s: expected %zu integers, found %zu", key, count,
                    json_value_count(value));
    }
    for (size_t i = 0; i < count; i++) {
        if (!value || config->status) {
            sizes[i] = fallback;
        } else {
            sizes[i] = to_size(config, key, is_array ? json_value_item(value, i) : value, min, max);
        }
    }
}

void config_flags(struct config *config, const char *key, bool *flags, size_t n) {
    const struct json_value *value = find(config, key);
    for (size_t i = 0; i < n; i++) flags[i] = false;
    if (!value) return;
    if (!json_value_is_array(value) || n == 0) {
        config_fail(config, VDT_ERROR_FORMAT, "%s: expected an array, found %s", key,
                    json_value_kind(value));
        return;
    }
    for (size_t i = 0; i < json_value_count(value); i++)
        flags[to_size(config, key, json_value_item(value, i), 0, n - 1)] = true;
}

double config_number(struct config *config, const char *key, double fallback, double min,
                     double max) {
    const struct json_value *value = find(config, key);
    if (!value) return fallback;
    double number;
    if (!json_value_number(value, &number)) {
        config_fail(config, VDT_ERROR_FORMAT, "%s: expected a number, found %s", key,
                    json_value_kind(value));
        return fallback;
    }
    if (!(number >= min && number <= max)) {
        config_fail(config, VDT_ERROR_FORMAT, "%s: expected %g..%g, found %g", key, min, max,
                    number);
        return fallback;
    }
    return number;
}

bool config_bool(struct config *config, const char *key, bool fallback) {
    const struct json_value *value = find(config, key);
    bool flag = fallback;
    if (value && !json_value_bool(value, &flag)) {
        config_fail(config, VDT_ERROR_FORMAT, "%s: expected true or false, found %s", key,
                    json_value_kind(value));
    }
    return flag;
}

const char *config_string(struct config *config, const char *key, const char *fallback) {
    const struct json_value *value = find(config, key);
    if (!value) return fallback;
    const char *text = json_value_string(value);
    if (!text) {
        config_fail(config, VDT_ERROR_FORMAT, "%s: expected a string, found %s", key,
                    json_value_kind(value));
        return fallback;
    }
    return text;
}

struct config config_object(struct config *config, const char *key) {
    const struct json_value *value = find(config, key);
    if (value && !json_value_is_object(value)) {
        config_fail(config, VDT_ERROR_FORMAT, "%s: expected an object, found %s", key,
                    json_value_kind(value));
        value = NULL;
    }
    return (struct config){
        .object = value, .file = config->file, .error = config->error, .status = config->status};
}

/* ---- labels -------------------------------------------------------------------------------- */

enum { MAX_LABELS = 1000000 };

// A decimal index below n without leading zeros.
static bool parse_index(const char *text, size_t n, size_t *index) {
    size_t value = 0;
    if (text[0] == '0' && text[1] != '\0') return false;
    const char *digit = text;
    for (; *digit >= '0' && *digit <= '9' && value < n; digit++)
        value = value * 10 + (size_t)(*digit - '0');
    if (digit == text || *digit != '\0' || value >= n) return false;
    *index = value;
    return true;
}

static int parse_id2label(struct labels *labels, struct memory *memory, struct config *config,
                          const struct json_value *object) {
    for (struct json_member m = json_member_first(object); m.key; m = json_member_next(object, m)) {
        size_t index;
        const char *name = json_value_string(m.value);
        if (!parse_index(m.key, labels->n, &index) || labels->names[index] || !name) {
            config_fail(config, VDT_ERROR_FORMAT,
                        "id2label: expected \"0\"..\"%zu\" each with a name, found \"%s\" with %s",
                        labels->n - 1, m.key, json_value_kind(m.value));
            return config->status;
        }
        labels->names[index] = mem_string(memory, name, strlen(name), config->error);
        if (!labels->names[index]) return VDT_ERROR_MEMORY;
    }
    return VDT_OK;
}

static int allocate_labels(struct labels *labels, struct memory *memory, size_t n,
                           vdt_error *error) {
    labels->names = mem_alloc(memory, n, sizeof *labels->names, "labels", error);
    labels->n = labels->names ? n : 0;
    return labels->names ? VDT_OK : VDT_ERROR_MEMORY;
}

int labels_make(struct labels *out, struct memory *memory, size_t n, vdt_error *error) {
    struct labels labels = {0};
    int status = allocate_labels(&labels, memory, n, error);
    for (size_t i = 0; !status && i < n; i++) {
        char name[32];
        const int length = snprintf(name, sizeof name, "LABEL_%zu", i);
        labels.names[i] = mem_string(memory, name, (size_t)length, error);
        if (!labels.names[i]) status = VDT_ERROR_MEMORY;
    }
    if (status) {
        labels_free(&labels, memory);
    } else {
        *out = labels;
    }
    return status;
}

int labels_parse(struct labels *out, struct memory *memory, struct config *config) {
    const struct json_value *id2label = find(config, "id2label");
    if (!id2label) {
        const size_t n = config_size(config, "num_labels", 0, 0, MAX_LABELS);
        if (config->status) return config->status;
        return n > 0 ? labels_make(out, memory, n, config->error) : VDT_OK;
    }
    const size_t n = json_value_count(id2label);
    if (!json_value_is_object(id2label) || n > MAX_LABELS) {
        config_fail(config, VDT_ERROR_FORMAT,
                    "id2label: expected an object of at most %d names, found %s", MAX_LABELS,
                    json_value_kind(id2label));
        return config->status;
    }
    struct labels labels = {0};
    int status = allocate_labels(&labels, memory, n, config->error);
    if (!status) status = parse_id2label(&labels, memory, config, id2label);
    if (status) {
        labels_free(&labels, memory);
    } else {
        *out = labels;
    }
    return status;
}

void labels_free(struct labels *labels, struct memory *memory) {
    for (size_t i = 0; i < labels->n; i++) mem_free(memory, labels->names[i]);
    mem_free(memory, labels->names);
    *labels = (struct labels){0};
}

/* ---- model card ---------------------------------------------------------------------------- */

// Front matter is the YAML between a first line "---" and the next one; one "key: value" line is
// read.
bool modelcard_licence(char *licence, size_t licence_bytes, const unsigned char *text,
                       size_t bytes) {
    static const char key[] = "license:";
    const char *at = (const char *)text, *end = at + bytes;
    bool first = true;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *line_end = newline ? newline : end;
        while (line_end > at && (line_end[-1] == '\r' || line_end[-1] == ' ')) line_end--;
        const size_t length = (size_t)(line_end - at);
        const bool is_fence = length == 3 && memcmp(at, "---", 3) == 0;
        if (first ? !is_fence : is_fence) return false;
        first = false;
        if (length > sizeof key - 1 && memcmp(at, key, sizeof key - 1) == 0) {
            const char *value = at + sizeof key - 1;
            while (value < line_end && (*value == ' ' || *value == '"' || *value == '\'')) value++;
            while (line_end > value && (line_end[-1] == '"' || line_end[-1] == '\'')) line_end--;
            snprintf(licence, licence_bytes, "%.*s", (int)(line_end - value), value);
            return line_end > value;
        }
        if (!newline) return false;
        at = newline + 1;
    }
    return false;
}
