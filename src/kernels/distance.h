// The order in which a distance's partial sums are added, the same for every variant.
#ifndef VIDETTE_KERNELS_DISTANCE_H
#define VIDETTE_KERNELS_DISTANCE_H

#include <stddef.h>

enum { DISTANCE_SUMS = 32 };

static inline double distance_total(double sums[DISTANCE_SUMS]) {
    for (size_t apart = DISTANCE_SUMS / 2; apart > 0; apart /= 2) {
        for (size_t i = 0; i < apart; i++) sums[i] += sums[i + apart];
    }
    return sums[0];
}

#endif
