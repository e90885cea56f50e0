// Fields of a Hugging Face config, typed and in range.
//
// A reader walks one JSON object. Each getter returns the field, or `fallback` where the field is
// absent or null; a field of the wrong type or outside [min, max] is an error that names it. The
// first error stays in the reader, so that a family's config check is one straight line of getters
// and one look at `status` at the end.
#ifndef VIDETTE_FORMAT_HFCONFIG_H
#define VIDETTE_FORMAT_HFCONFIG_H

#include "core/mem.h"
#include "format/json.h"

struct config {
    const struct json_value *object; // NULL reads as an empty object
    const char *file;                // what messages call it
    vdt_error *error;
    int status; // of the first failure
};

enum { CONFIG_MAX_BYTES = 64 << 20 }; // label lists grow long, nothing else does

bool config_has(const struct config *config, const char *key); // present and not null
size_t config_size(struct config *config, const char *key, size_t fallback, size_t min, size_t max);
double config_number(struct config *config, const char *key, double fallback, double min,
                     double max);
bool config_bool(struct config *config, const char *key, bool fallback);
const char *config_string(struct config *config, const char *key, const char *fallback);

// An integer n or an array [n, n, ...] of `count` integers, into sizes[count].
void config_sizes(struct config *config, const char *key, size_t *sizes, size_t count,
                  size_t fallback, size_t min, size_t max);

// Sets flags[i] for each i in an array of integers below n; an absent key sets none.
void config_flags(struct config *config, const char *key, bool *flags, size_t n);

// The object under `key` as a config of its own (empty where absent).
struct config config_object(struct config *config, const char *key);

// Records a failure that a getter cannot see ("hidden_size: expected a multiple of ..."); keeps the
// first.
void config_fail(struct config *config, vdt_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Class names by index.
struct labels {
    char **names; // (n)
    size_t n;     // 0 where the config names neither labels nor their number
};

// Reads id2label ({"0": "name", ...}, every id once), else num_labels (LABEL_0, ...).
int labels_parse(struct labels *labels, struct memory *memory, struct config *config);

// n labels "LABEL_i".
int labels_make(struct labels *labels, struct memory *memory, size_t n, vdt_error *error);
void labels_free(struct labels *labels, struct memory *memory);

// The value of `license:` in a model card's front matter into `licence`; false where there is none.
bool modelcard_licence(char *licence, size_t licence_bytes, const unsigned char *text,
                       size_t bytes);

#endif
