#include "reduce/budget.h"

#include <math.h>

static const double FORGETTING = 0.9, DEVIATION_FORGETTING = 0.97, PRIOR_WEIGHT = 0.5;
static const double LEAST_SLOPE = 0.25, USUAL = 4.0; // mean distances that are no surprise

struct line {
    double a, b;
};

void budget_start(struct budget *budget, double deadline, size_t n, double low_r, double low_ms,
                  double high_r, double high_ms) {
    const double b = fmax((high_ms - low_ms) / (high_r - low_r), 1e-9);
    *budget = (struct budget){.deadline = deadline,
                              .prior_a = fmax(low_ms - b * low_r, 0.0),
                              .prior_b = b,
                              .span = (double)n,
                              .deviation = 0.02 * deadline};
}

// Least squares over what was seen and the prior's two ends. Costs never fall with r, and never by much less
// than was measured first: a slope that noise has flattened would promise everything.
static struct line fit(const struct budget *budget) {
    const double w = PRIOR_WEIGHT, x = budget->span;
    const double end = budget->prior_a + budget->prior_b * x;
    const double n = budget->n + 2.0 * w, sx = budget->sx + w * x, sxx = budget->sxx + w * x * x;
    const double sy = budget->sy + w * (budget->prior_a + end), sxy = budget->sxy + w * x * end;
    const double slope = (n * sxy - sx * sy) / (n * sxx - sx * sx);
    const double b = fmax(slope, LEAST_SLOPE * budget->prior_b);
    return (struct line){(sy - b * sx) / n, b};
}

// The step's cost as it counts: `expected`, and how far off it was.
static double temper(struct budget *budget, double expected, double ms) {
    const double most = USUAL * budget->deviation;
    const bool far = fabs(ms - expected) > most;
    const bool accident = far && !budget->surprised;
    budget->surprised = far;
    return accident ? expected + copysign(most, ms - expected) : ms;
}

void budget_learn(struct budget *budget, double r, double ms) {
    const struct line line = fit(budget);
    const double expected = line.a + line.b * r;
    ms = temper(budget, expected, ms);
    budget->deviation += (1.0 - DEVIATION_FORGETTING) * (fabs(ms - expected) - budget->deviation);
    budget->n = FORGETTING * budget->n + 1.0;
    budget->sx = FORGETTING * budget->sx + r;
    budget->sy = FORGETTING * budget->sy + ms;
    budget->sxx = FORGETTING * budget->sxx + r * r;
    budget->sxy = FORGETTING * budget->sxy + r * ms;
}

size_t budget_choose(const struct budget *budget) {
    const struct line line = fit(budget);
    const double r = (budget->deadline - 2.0 * budget->deviation - line.a) / line.b;
    return r >= budget->span ? (size_t)budget->span : r >= 1.0 ? (size_t)r : 1;
}
