// vidette bench --stream: a stream's steps after the flush, against dense ones of the same run.
#ifndef VIDETTE_TOOLS_BENCH_STREAM_H
#define VIDETTE_TOOLS_BENCH_STREAM_H

#include "settings.h"

int bench_stream_run(const struct settings *settings);

// The rate of a call that took so long, of what was multiplied, in 1e9 operations (2 a multiply-add) a second.
double bench_gflops(const vdt_stats *stats, double ms);

#endif
