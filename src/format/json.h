// JSON from outside, read-only.
//
// jansson parses; this file is the only one that includes it. The limits are ours: the size of the
// text, the depth of nesting (checked before parsing, so that hostile text cannot exhaust the
// stack) and duplicate keys, which are errors. Numbers beyond 64 bits and bare NaN or Infinity are
// errors too.
#ifndef VIDETTE_FORMAT_JSON_H
#define VIDETTE_FORMAT_JSON_H

#include <stdbool.h>

#include "core/status.h"

enum { JSON_MAX_DEPTH = 64 };

struct json_value; // any value; lives as long as the root it was reached from

// Parses `bytes` bytes of UTF-8 at most max_bytes long. `name` is what messages call the text.
int json_value_parse(struct json_value **root, const unsigned char *text, size_t bytes,
                     size_t max_bytes, const char *name, vdt_error *error);
void json_value_free(struct json_value **root);

bool json_value_is_object(const struct json_value *value);
bool json_value_is_array(const struct json_value *value);
bool json_value_is_null(const struct json_value *value);

// "an object", "a string", ... for messages; "nothing" for NULL.
const char *json_value_kind(const struct json_value *value);

// NULL where `value` is not an object or has no such member.
const struct json_value *json_value_member(const struct json_value *value, const char *key);

// Items of an array or members of an object; 0 for anything else.
size_t json_value_count(const struct json_value *value);
const struct json_value *json_value_item(const struct json_value *array, size_t index);

// Members in the order of the text:
//     for (struct json_member m = json_member_first(object); m.key; m = json_member_next(object,
//     m))
struct json_member {
    const char *key; // NULL past the last
    const struct json_value *value;
    void *position;
};
struct json_member json_member_first(const struct json_value *object);
struct json_member json_member_next(const struct json_value *object, struct json_member member);

// Each writes its output and returns true only where the value has that type.
bool json_value_integer(const struct json_value *value, int64_t *out);
bool json_value_number(const struct json_value *value, double *out); // integers too
bool json_value_bool(const struct json_value *value, bool *out);
const char *json_value_string(const struct json_value *value); // NULL where it is not a string

#endif
