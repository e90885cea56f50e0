// vidette bench --stream: a stream's steps after the flush, against dense ones of the same run.
#ifndef VIDETTE_TOOLS_BENCH_STREAM_H
#define VIDETTE_TOOLS_BENCH_STREAM_H

#include "settings.h"

int bench_stream_run(const struct settings *settings);

#endif
