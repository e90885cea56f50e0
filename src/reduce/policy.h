// Which tokens a gate lets through (Dutson et al. 2023, section 4.1): from the squared error of each.
//
//     all        every token, whatever its error
//     top        the r largest errors
//     threshold  every error above h
//
// Only errors above the floor count (strictly; 0 is the default, so a token without error is never picked).
// Ties go to the lower index. Where r is smaller than the number of such tokens, one that changed once keeps
// its error and could be passed over for ever: those that have waited max_wait steps are served before all
// others, the oldest first. Decisions hang on nothing but the errors' bits and the state here.
#ifndef VIDETTE_REDUCE_POLICY_H
#define VIDETTE_REDUCE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum policy_kind { POLICY_ALL, POLICY_TOP, POLICY_THRESHOLD };

struct policy {
    enum policy_kind kind;
    size_t r;          // TOP
    double threshold;  // THRESHOLD, >= 0
    double floor;      // >= 0
    uint32_t max_wait; // steps; 0: nobody is served for waiting
};

// Writes the picked tokens in ascending order to index (n) and returns their number. squares (n): each
// token's squared error; NaN counts as larger than any number. waited (n): steps that each token above the
// floor has been passed over, brought up to date here. keys (n): workspace. *pending: whether any was passed
// over now.
size_t policy_select(const struct policy *policy, uint32_t *index, const double *squares,
                     uint32_t *waited, uint64_t *keys, size_t n, bool *pending);

#endif
