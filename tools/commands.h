// The commands' entry points; each returns an exit status.
#ifndef VIDETTE_TOOLS_COMMANDS_H
#define VIDETTE_TOOLS_COMMANDS_H

#include "settings.h"

int classify_run(const struct settings *settings);
int embed_run(const struct settings *settings);
int stream_run(const struct settings *settings);
int view_run(const struct settings *settings);
int eval_run(const struct settings *settings);
int bench_run(const struct settings *settings);
int info_run(const struct settings *settings);

#endif
