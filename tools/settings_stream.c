#include "settings_stream.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// A finite number >= 0.
static bool parse_number(const char *text, double *out) {
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value) || value < 0.0) return false;
    *out = value;
    return true;
}

static bool parse_count(const char *text, uint32_t *out) {
    char *end;
    errno = 0;
    if (*text < '0' || *text > '9') return false;
    const unsigned long value = strtoul(text, &end, 10);
    if (*end || errno || value > UINT32_MAX) return false;
    *out = (uint32_t)value;
    return true;
}

// top:R | fraction:F | threshold:H | all
bool set_update(struct settings *s, const char *v) {
    vdt_stream_options *stream = &s->stream;
    s->stream_texts[0] = v;
    if (strcmp(v, "all") == 0) {
        stream->update = VDT_UPDATE_ALL;
        return true;
    }
    if (strncmp(v, "top:", 4) == 0) {
        stream->update = VDT_UPDATE_TOP;
        return parse_count(v + 4, &stream->r);
    }
    if (strncmp(v, "fraction:", 9) == 0) {
        stream->update = VDT_UPDATE_FRACTION;
        return parse_number(v + 9, &stream->fraction) && stream->fraction <= 1.0;
    }
    if (strncmp(v, "threshold:", 10) == 0) {
        stream->update = VDT_UPDATE_THRESHOLD;
        return parse_number(v + 10, &stream->threshold);
    }
    return false;
}

bool set_floor(struct settings *s, const char *v) {
    return parse_number(v, &s->stream.floor);
}

bool set_still(struct settings *s, const char *v) {
    s->stream.still_tolerance = 0.0;
    if (strcmp(v, "off") == 0)
        s->stream.still = VDT_STILL_OFF;
    else if (strcmp(v, "auto") == 0)
        s->stream.still = VDT_STILL_LEARN;
    else {
        s->stream.still = VDT_STILL_FIXED;
        return parse_number(v, &s->stream.still_tolerance);
    }
    return true;
}

bool set_max_wait(struct settings *s, const char *v) {
    return parse_count(v, &s->stream.max_wait);
}

bool set_attention(struct settings *s, const char *v) {
    static const char *const names[] = {"exact", "delta", "tokenwise"};
    s->stream_texts[1] = v;
    for (int i = 0; i < 3; i++) {
        if (strcmp(v, names[i]) != 0) continue;
        s->stream.attention = (vdt_attention)i;
        return true;
    }
    return false;
}

bool set_budget(struct settings *s, const char *v) {
    return parse_number(v, &s->budget_ms) && s->budget_ms > 0.0;
}

bool set_realtime(struct settings *s, const char *v) {
    (void)v;
    return s->realtime = true;
}

bool set_state(struct settings *s, const char *v) {
    s->state = v;
    return *v != '\0';
}

bool set_macs(struct settings *s, const char *v) {
    s->macs_eventful = strcmp(v, "eventful") == 0;
    return s->macs_eventful || strcmp(v, "plain") == 0;
}

bool set_stream(struct settings *s, const char *v) {
    (void)v;
    return s->bench_stream = true;
}
