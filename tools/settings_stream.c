#include "settings_stream.h"

#include <string.h>

#include "numbers.h"

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
        return parse_unsigned(v + 4, UINT32_MAX, &stream->r);
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
    return parse_unsigned(v, UINT32_MAX, &s->stream.max_wait);
}

const char *const attention_names[] = {"exact", "delta", "tokenwise", NULL};

bool set_attention(struct settings *s, const char *v) {
    s->stream_texts[1] = v;
    for (int i = 0; attention_names[i]; i++) {
        if (strcmp(v, attention_names[i]) != 0) continue;
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

bool set_moving(struct settings *s, const char *v) {
    return parse_number(v, &s->moving) && s->moving > 0.0 && s->moving <= 1.0;
}
