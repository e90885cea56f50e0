#include "json_out.h"

#include <math.h>
#include <string.h>

void json_begin(struct json_out *json, FILE *file) {
    *json = (struct json_out){.file = file};
}

static void before_value(struct json_out *json) {
    if (json->comma) fputc(',', json->file);
    json->comma = true;
}

void json_open(struct json_out *json, char bracket) {
    before_value(json);
    fputc(bracket, json->file);
    json->comma = false;
}

void json_close(struct json_out *json, char bracket) {
    fputc(bracket, json->file);
    json->comma = true;
}

// Bytes of the UTF-8 sequence at `text`, 0 where it is none.
static size_t sequence_bytes(const unsigned char *text) {
    static const struct {
        unsigned char mask, lead;
        uint32_t smallest;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t n = 1; n <= 4; n++) {
        if ((text[0] & forms[n - 1].mask) != forms[n - 1].lead) continue;
        uint32_t point = text[0] & (unsigned char)~forms[n - 1].mask;
        for (size_t i = 1; i < n; i++) {
            if ((text[i] & 0xc0) != 0x80) return 0;
            point = point << 6 | (text[i] & 0x3f);
        }
        const bool surrogate = point >= 0xd800 && point <= 0xdfff;
        return point >= forms[n - 1].smallest && point <= 0x10ffff && !surrogate ? n : 0;
    }
    return 0;
}

static void put_string(FILE *file, const char *text) {
    fputc('"', file);
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        const size_t n = sequence_bytes(at);
        if (n == 0)
            fputs("\\ufffd", file);
        else if (*at == '"' || *at == '\\')
            fprintf(file, "\\%c", *at);
        else if (*at < 0x20 || *at == 0x7f)
            fprintf(file, "\\u%04x", *at);
        else
            fwrite(at, 1, n, file);
        at += n > 0 ? n : 1;
    }
    fputc('"', file);
}

void json_key(struct json_out *json, const char *key) {
    before_value(json);
    put_string(json->file, key);
    fputc(':', json->file);
    json->comma = false;
}

void json_text(struct json_out *json, const char *text) {
    before_value(json);
    if (text)
        put_string(json->file, text);
    else
        fputs("null", json->file);
}

void json_bool(struct json_out *json, bool value) {
    before_value(json);
    fputs(value ? "true" : "false", json->file);
}

void json_integer(struct json_out *json, uint64_t value) {
    before_value(json);
    fprintf(json->file, "%llu", (unsigned long long)value);
}

void json_number(struct json_out *json, double value, int digits) {
    before_value(json);
    if (isfinite(value))
        fprintf(json->file, "%.*g", digits, value);
    else
        fputs("null", json->file);
}

void json_floats(struct json_out *json, const float *values, size_t n) {
    json_open(json, '[');
    for (size_t i = 0; i < n; i++) json_number(json, (double)values[i], 9);
    json_close(json, ']');
}

void json_end_line(struct json_out *json) {
    fputc('\n', json->file);
    json->comma = false;
}
