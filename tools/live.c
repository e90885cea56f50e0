#include "live.h"

#include <math.h>

static const double FIRST_PAUSE_MS = 500.0, LONGEST_PAUSE_MS = 30000.0;

void pace_start(struct pace *pace) {
    *pace = (struct pace){NAN, 0.0};
}

bool pace_late(struct pace *pace, double time, double now_ms, double *due_ms) {
    const double step = time - pace->last;
    if (isnan(pace->start_ms) || step < 0.0 || step > PACE_LEAP)
        pace->start_ms = now_ms - time * 1e3;
    pace->last = time;
    *due_ms = pace->start_ms + time * 1e3;
    return step > 0.0 && now_ms > *due_ms + step * 1e3;
}

int live_run(const struct live *live) {
    double pause = FIRST_PAUSE_MS;
    for (bool first = true;; first = false) {
        uint64_t frames = 0;
        const int status = live->run(live->user, &frames);
        if (status || live->stopped(live->user) || (first && frames == 0)) return status;
        if (frames > 0) pause = FIRST_PAUSE_MS;
        live->lost(live->user, pause);
        if (live->stopped(live->user)) return 0;
        pause = fmin(2.0 * pause, LONGEST_PAUSE_MS);
    }
}
