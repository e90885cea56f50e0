// The options of streams: what --update, --floor, --still and their like mean.
#ifndef VIDETTE_TOOLS_SETTINGS_STREAM_H
#define VIDETTE_TOOLS_SETTINGS_STREAM_H

#include "settings.h"

extern const char *const attention_names[]; // of vdt_attention; NULL behind the last

// Each reads a value into settings->stream or beside it; false where it is not one.
bool set_update(struct settings *settings, const char *value);
bool set_floor(struct settings *settings, const char *value);
bool set_still(struct settings *settings, const char *value);
bool set_max_wait(struct settings *settings, const char *value);
bool set_attention(struct settings *settings, const char *value);
bool set_budget(struct settings *settings, const char *value);
bool set_realtime(struct settings *settings, const char *value);
bool set_state(struct settings *settings, const char *value);
bool set_macs(struct settings *settings, const char *value);
bool set_stream(struct settings *settings, const char *value);
bool set_moving(struct settings *settings, const char *value);

#endif
