// How many tokens a deadline allows: the cost of a step is affine in the tokens r that pass a gate.
//
//     ms = a + b r        fitted online, older steps forgotten by a factor a step
//     r  = ((deadline - guard - spent) / left - a) / b
//
// r is chosen anew before each block, from the time that is spent and the share of the step that is left, so that
// a step that was held up catches up. The guard is for what comes too late for that: it is twice the usual lateness,
// the mean over all steps of what they end behind their aim, deadline - guard, and 4 % of the deadline at most.
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
    double late;                // ms, mean of what steps end behind their aim
    bool surprised;             // the last step lay far off
};

// low_ms and high_ms: measured cost of steps of low_r < high_r tokens; n tokens in all.
void budget_start(struct budget *budget, double deadline, size_t n, double low_r, double low_ms,
                  double high_r, double high_ms);

// A step in which `r` tokens passed a gate, on average over gates, took `ms`.
void budget_learn(struct budget *budget, double r, double ms);

// The r for what is left of a step, 1..n: `spent` ms are gone, and the share `left` of the whole, 0 < left <= 1, is
// to come.
size_t budget_choose(const struct budget *budget, double spent, double left);

#endif
