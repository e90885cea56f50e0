// A clock that only runs forward.
#ifndef VIDETTE_CORE_CLOCK_H
#define VIDETTE_CORE_CLOCK_H

#include <time.h>

static inline double clock_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
}

#endif
