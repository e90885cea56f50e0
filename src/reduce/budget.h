// How many tokens a deadline allows: the cost of a step is affine in the tokens r that pass a gate.
//
//     ms = a + b r        fitted online, older steps forgotten by a factor a step
//     r  = (deadline - guard - a) / b        guard: 1.5 times the usual deviation from the fit,
//                                            which counts as 5 % of the deadline at most
//
// Two costs measured before the first frame stand in the fit for good, with little weight: they carry it
// while nothing has been seen, and hold the slope where every step has the same r.
//
// A step far off the fit is an accident, another process's moment, and counts no more than the largest usual
// distance; a second one in a row says that the machine has changed: it counts in full, and what was seen
// before it half.
#ifndef VIDETTE_REDUCE_BUDGET_H
#define VIDETTE_REDUCE_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

struct budget {
    double deadline;            // ms
    double prior_a, prior_b;    // of the costs measured first
    double span;                // tokens, the largest r
    double n, sx, sy, sxx, sxy; // weighted sums over the steps seen
    double deviation;           // ms, mean distance from the fit
    bool surprised;             // the last step lay far off
};

// low_ms and high_ms: measured cost of steps of low_r < high_r tokens; n tokens in all.
void budget_start(struct budget *budget, double deadline, size_t n, double low_r, double low_ms,
                  double high_r, double high_ms);

// A step in which `r` tokens passed a gate, on average over gates, took `ms`.
void budget_learn(struct budget *budget, double r, double ms);

// The r for the next step, 1..n.
size_t budget_choose(const struct budget *budget);

#endif
