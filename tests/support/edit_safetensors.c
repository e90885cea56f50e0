// edit_safetensors IN OUT COMMAND [ARGUMENT...]: a safetensors file with one thing wrong.
//
//     names                 prints the tensors' names; OUT is not written
//     rename A B            drop A              copy A B (a second tensor with the same numbers)
//     shape A 1,2,3         dtype A F16         (of the header alone)
//     fill A VALUE          the first number of a float tensor: nan, inf, 1e38, ...
//     lie KIND              a header that says what is not so; `lies` prints the kinds
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scratch.h"

struct file {
    json_t *header;
    uint8_t *data; // behind the header
    size_t data_bytes;
    const char *out;
    char **arguments; // of the command
};

static void stop(const char *what, const char *name) {
    fprintf(stderr, "edit_safetensors: %s: %s\n", what, name);
    exit(1);
}

static struct file read_file(const char *path) {
    size_t n;
    uint8_t *bytes = scratch_read(path, &n);
    uint64_t length = 0;
    for (size_t i = 8; n >= 8 && i-- > 0;) length = length << 8 | bytes[i];
    if (n < 8 || length > n - 8) stop("not a safetensors file", path);
    struct file file = {.header = json_loadb((const char *)bytes + 8, (size_t)length, 0, NULL)};
    if (!json_is_object(file.header)) stop("not a safetensors file", path);
    file.data_bytes = n - 8 - (size_t)length;
    file.data = malloc(file.data_bytes + 1);
    if (!file.data) stop("out of memory", path);
    memcpy(file.data, bytes + 8 + length, file.data_bytes);
    free(bytes);
    return file;
}

// `claimed`: the length that the file says its header has.
static void write_text(const struct file *file, const char *text, size_t n, uint64_t claimed) {
    uint8_t *bytes = malloc(8 + n + file->data_bytes);
    if (!bytes) stop("out of memory", file->out);
    for (size_t i = 0; i < 8; i++) bytes[i] = (uint8_t)(claimed >> 8 * i);
    memcpy(bytes + 8, text, n);
    memcpy(bytes + 8 + n, file->data, file->data_bytes);
    scratch_write(file->out, bytes, 8 + n + file->data_bytes);
    free(bytes);
}

static void write_file(const struct file *file) {
    char *text = json_dumps(file->header, JSON_COMPACT);
    if (!text) stop("out of memory", file->out);
    write_text(file, text, strlen(text), strlen(text));
    free(text);
}

static json_t *tensor(const struct file *file, const char *name) {
    json_t *found = json_object_get(file->header, name);
    if (!found) stop("no such tensor", name);
    return found;
}

static const char *first_name(const struct file *file) {
    const char *name;
    json_t *value;
    json_object_foreach(file->header, name, value) {
        if (strcmp(name, "__metadata__") != 0) return name;
    }
    stop("no tensor", file->out);
    return NULL;
}

static size_t offset(json_t *of, size_t which) {
    return (size_t)json_integer_value(json_array_get(json_object_get(of, "data_offsets"), which));
}

static void set_offsets(json_t *of, json_int_t begin, json_int_t end) {
    json_object_set_new(of, "data_offsets", json_pack("[I, I]", begin, end));
}

/* ---- commands ------------------------------------------------------------------------------ */

static void names(struct file *file) {
    const char *name;
    json_t *value;
    json_object_foreach(file->header, name, value) {
        if (strcmp(name, "__metadata__") != 0) puts(name);
    }
}

static void rename_tensor(struct file *file) {
    json_object_set(file->header, file->arguments[1], tensor(file, file->arguments[0]));
    json_object_del(file->header, file->arguments[0]);
    write_file(file);
}

// The numbers stay behind as a gap.
static void drop(struct file *file) {
    tensor(file, file->arguments[0]);
    json_object_del(file->header, file->arguments[0]);
    write_file(file);
}

static void copy(struct file *file) {
    json_t *from = tensor(file, file->arguments[0]), *to = json_deep_copy(from);
    const size_t begin = offset(from, 0), bytes = offset(from, 1) - begin;
    uint8_t *larger = realloc(file->data, file->data_bytes + bytes + 1);
    if (!larger || !to) stop("out of memory", file->out);
    memcpy(larger + file->data_bytes, larger + begin, bytes);
    set_offsets(to, (json_int_t)file->data_bytes, (json_int_t)(file->data_bytes + bytes));
    file->data = larger;
    file->data_bytes += bytes;
    json_object_set_new(file->header, file->arguments[1], to);
    write_file(file);
}

static void shape(struct file *file) {
    json_t *sizes = json_array();
    for (char *at = strtok(file->arguments[1], ","); at; at = strtok(NULL, ","))
        json_array_append_new(sizes, json_integer(strtoll(at, NULL, 10)));
    json_object_set_new(tensor(file, file->arguments[0]), "shape", sizes);
    write_file(file);
}

static void dtype(struct file *file) {
    json_object_set_new(tensor(file, file->arguments[0]), "dtype", json_string(file->arguments[1]));
    write_file(file);
}

// f32 is written as it is; of 16-bit types only NaN and infinity are wanted.
static void fill(struct file *file) {
    json_t *of = tensor(file, file->arguments[0]);
    const char *type = json_string_value(json_object_get(of, "dtype"));
    const double value = strtod(file->arguments[1], NULL);
    const float single = (float)value;
    uint8_t *to = file->data + offset(of, 0);
    const unsigned nan_bits = isnan(value) ? 1 : 0;
    uint16_t half = 0;
    if (strcmp(type, "F32") == 0) memcpy(to, &single, sizeof single);
    if (strcmp(type, "F64") == 0) memcpy(to, &value, sizeof value);
    if (strcmp(type, "F16") == 0) half = (uint16_t)(0x7c00 | nan_bits);
    if (strcmp(type, "BF16") == 0) half = (uint16_t)(0x7f80 | nan_bits);
    if (half) memcpy(to, &half, sizeof half);
    write_file(file);
}

/* ---- lies ---------------------------------------------------------------------------------- */

// What is set on the first tensor: a field and its value as JSON (NULL: removed).
static const struct {
    const char *kind, *field, *value;
} fields[] = {
    {"negative-offset", "data_offsets", "[-8, 0]"},
    {"backward-offsets", "data_offsets", "[64, 0]"},
    {"offset-past-end", "data_offsets", "[0, 4611686018427387904]"},
    {"largest-offsets", "data_offsets", "[9223372036854775800, 9223372036854775807]"},
    {"too-large-offset", "data_offsets", "[0, 18446744073709551616]"},
    {"one-offset", "data_offsets", "[0]"},
    {"three-offsets", "data_offsets", "[0, 4, 8]"},
    {"text-offsets", "data_offsets", "[\"0\", \"4\"]"},
    {"fraction-offsets", "data_offsets", "[0.0, 4.0]"},
    {"object-offsets", "data_offsets", "{\"0\": 0, \"1\": 4}"},
    {"no-offsets", "data_offsets", NULL},
    {"overflowing-shape", "shape", "[4611686018427387904, 8]"},
    {"wrapping-shape", "shape", "[4294967296, 4294967296]"},
    {"zero-times-much", "shape", "[0, 4611686018427387904, 4611686018427387904]"},
    {"negative-shape", "shape", "[-1, 4]"},
    {"wrong-product", "shape", "[3, 5, 7]"},
    {"many-dimensions", "shape", "[1, 1, 1, 1, 1, 1, 1, 1, 1]"},
    {"text-shape", "shape", "\"4\""},
    {"nested-shape", "shape", "[[4]]"},
    {"no-shape", "shape", NULL},
    {"unknown-dtype", "dtype", "\"F33\""},
    {"number-dtype", "dtype", "32"},
    {"no-dtype", "dtype", NULL},
};

static bool set_field(struct file *file, const char *kind) {
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (strcmp(kind, fields[i].kind) != 0) continue;
        json_t *of = tensor(file, first_name(file));
        // jansson refuses integers beyond 64 bits: they go in as text.
        json_t *value = fields[i].value ? json_loads(fields[i].value, JSON_DECODE_ANY, NULL) : NULL;
        if (fields[i].value && !value) {
            json_object_set_new(of, fields[i].field, json_string("@"));
            char *text = json_dumps(file->header, JSON_COMPACT), *at = strstr(text, "\"@\"");
            char *longer = malloc(strlen(text) + strlen(fields[i].value) + 1);
            if (!longer) stop("out of memory", file->out);
            sprintf(longer, "%.*s%s%s", (int)(at - text), text, fields[i].value, at + 3);
            write_text(file, longer, strlen(longer), strlen(longer));
            free(text);
            free(longer);
            return true;
        }
        json_object_del(of, fields[i].field);
        if (value) json_object_set_new(of, fields[i].field, value);
        write_file(file);
        return true;
    }
    return false;
}

// Header texts that need no tensor.
static const struct {
    const char *kind, *text;
} texts[] = {
    {"not-json", "{\"a\": "},
    {"array-header", "[]"},
    {"empty-header", ""},
    {"number-header", "12"},
    {"spaces-header", "      "},
    {"text-tensor", "{\"a\": \"b\"}"},
    {"null-tensor", "{\"a\": null}"},
};

static bool set_text(struct file *file, const char *kind) {
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (strcmp(kind, texts[i].kind) != 0) continue;
        write_text(file, texts[i].text, strlen(texts[i].text), strlen(texts[i].text));
        return true;
    }
    return false;
}

static void deep(struct file *file) {
    enum { DEPTH = 100000 };
    char *text = malloc(2 * DEPTH + 16);
    if (!text) stop("out of memory", file->out);
    memcpy(text, "{\"a\":", 5);
    memset(text + 5, '[', DEPTH);
    memset(text + 5 + DEPTH, ']', DEPTH);
    text[5 + 2 * DEPTH] = '}';
    write_text(file, text, 6 + 2 * DEPTH, 6 + 2 * DEPTH);
    free(text);
}

// Two entries of one name, which no JSON library writes.
static void duplicate(struct file *file, const char *text) {
    const char *name = first_name(file);
    char *entry = json_dumps(tensor(file, name), JSON_COMPACT);
    const size_t n = strlen(text) + strlen(entry) + strlen(name) + 8;
    char *twice = malloc(n);
    if (!twice) stop("out of memory", file->out);
    snprintf(twice, n, "{\"%s\":%s,%s", name, entry, text + 1);
    write_text(file, twice, strlen(twice), strlen(twice));
    free(twice);
    free(entry);
}

static void lie(struct file *file) {
    const char *kind = file->arguments[0];
    if (set_field(file, kind) || set_text(file, kind)) return;
    char *text = json_dumps(file->header, JSON_COMPACT);
    const size_t n = strlen(text);
    if (strcmp(kind, "huge-length") == 0) {
        write_text(file, text, n, UINT64_MAX);
    } else if (strcmp(kind, "largest-signed-length") == 0) {
        write_text(file, text, n, INT64_MAX);
    } else if (strcmp(kind, "length-past-end") == 0) {
        write_text(file, text, n, n + file->data_bytes + 1);
    } else if (strcmp(kind, "short-length") == 0) {
        write_text(file, text, n, n - 2);
    } else if (strcmp(kind, "truncated") == 0) {
        file->data_bytes = file->data_bytes / 2;
        write_text(file, text, n, n);
    } else if (strcmp(kind, "overlap") == 0) {
        json_object_set(file->header, "overlapping", tensor(file, first_name(file)));
        write_file(file);
    } else if (strcmp(kind, "duplicate") == 0) {
        duplicate(file, text);
    } else if (strcmp(kind, "not-utf8") == 0) {
        text[2] = (char)0xff; // within the first name
        write_text(file, text, n, n);
    } else if (strcmp(kind, "deep") == 0) {
        deep(file);
    } else {
        stop("no such lie", kind);
    }
    free(text);
}

static void lies(struct file *file) {
    static const char *const others[] = {"huge-length",
                                         "largest-signed-length",
                                         "length-past-end",
                                         "short-length",
                                         "truncated",
                                         "overlap",
                                         "duplicate",
                                         "not-utf8",
                                         "deep"};
    (void)file;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) puts(fields[i].kind);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) puts(texts[i].kind);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) puts(others[i]);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int arguments;
        void (*run)(struct file *file);
    } commands[] = {
        {"names", 0, names}, {"rename", 2, rename_tensor}, {"drop", 1, drop}, {"copy", 2, copy},
        {"shape", 2, shape}, {"dtype", 2, dtype},          {"fill", 2, fill}, {"lie", 1, lie},
        {"lies", 0, lies}};
    for (size_t i = 0; argc >= 4 && i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(argv[3], commands[i].name) != 0 || argc != 4 + commands[i].arguments) continue;
        struct file file = read_file(argv[1]);
        file.out = argv[2];
        file.arguments = argv + 4;
        commands[i].run(&file);
        json_decref(file.header);
        free(file.data);
        return 0;
    }
    fprintf(stderr, "usage: edit_safetensors IN OUT COMMAND [ARGUMENT...]\n");
    return 2;
}
