// JSON to a stream, a value after the other; commas come by themselves.
//
//     json_begin(&json, file);  json_open(&json, '{');  json_key(&json, "input");  json_text(&json,
//     "a.mp4"); json_close(&json, '}');   json_end_line(&json);
//
// Text that is not UTF-8 (file names may be anything) gets U+FFFD for each wrong byte; NaN and
// infinities become null.
#ifndef VIDETTE_TOOLS_JSON_OUT_H
#define VIDETTE_TOOLS_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json_out {
    FILE *file;
    bool comma; // one is due before the next value or key
};

void json_begin(struct json_out *json, FILE *file);
void json_open(struct json_out *json, char bracket);  // '{' or '['
void json_close(struct json_out *json, char bracket); // '}' or ']'
void json_key(struct json_out *json, const char *key);
void json_text(struct json_out *json, const char *text); // NULL: null
void json_bool(struct json_out *json, bool value);
void json_integer(struct json_out *json, uint64_t value);
void json_number(struct json_out *json, double value, int digits);      // significant digits
void json_floats(struct json_out *json, const float *values, size_t n); // an array, exact
void json_end_line(struct json_out *json);

#endif
