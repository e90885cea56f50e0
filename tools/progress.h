// A bar on stderr, where stderr is a terminal:
//
//     [#########...........]  12/30 inputs  3.1/s  0:06 left
#ifndef VIDETTE_TOOLS_PROGRESS_H
#define VIDETTE_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

struct progress {
    bool shown;   // a terminal, and wanted
    size_t total; // inputs
    double start_ms, last_ms;
    double skipped; // inputs that were done before this run
    bool drawn;     // a bar stands on the line
};

double progress_now_ms(void); // monotonic

void progress_start(struct progress *progress, bool wanted, size_t total, size_t skipped);

// done: inputs, with a fraction for the one that is running.
void progress_update(struct progress *progress, double done);

// Removes the bar, so that a result or a message can be printed.
void progress_clear(struct progress *progress);

#endif
