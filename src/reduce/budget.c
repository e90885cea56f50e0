#include "reduce/budget.h"

#include <math.h>

static const double FORGETTING = 0.9, CHANGED = 0.5, USUAL_FORGETTING = 0.97;
static const double PRIOR_WEIGHT = 0.5, LEAST_SLOPE = 0.25;
static const double FAR = 4.0;                                         // deviations
static const double GUARD = 2.0;                                       // times the usual lateness
static const double LARGEST_DEVIATION = 0.05, LARGEST_LATENESS = 0.02; // of the deadline

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
                              .deviation = 0.02 * deadline,
                              .late = 0.01 * deadline};
}

// When a step is to end.
static double aim(const struct budget *budget) {
    return budget->deadline - GUARD * budget->late;
}

// What is usual after one more value, `most` at the most.
static double follow(double usual, double value, double most) {
    return fmin(usual + (1.0 - USUAL_FORGETTING) * (value - usual), most);
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

void budget_learn(struct budget *budget, double r, double ms) {
    const struct line line = fit(budget);
    const double expected = line.a + line.b * r, usual = FAR * budget->deviation;
    const bool far = fabs(ms - expected) > usual, changed = far && budget->surprised;
    const double keep = changed ? CHANGED : FORGETTING;
    if (far && !changed) ms = expected + copysign(usual, ms - expected);
    budget->surprised = far;
    budget->deviation =
        follow(budget->deviation, fabs(ms - expected), LARGEST_DEVIATION * budget->deadline);
    budget->late =
        follow(budget->late, fmax(ms - aim(budget), 0.0), LARGEST_LATENESS * budget->deadline);
    budget->n = keep * budget->n + 1.0;
    budget->sx = keep * budget->sx + r;
    budget->sy = keep * budget->sy + ms;
    budget->sxx = keep * budget->sxx + r * r;
    budget->sxy = keep * budget->sxy + r * ms;
}

size_t budget_choose(const struct budget *budget, double spent, double left) {
    const struct line line = fit(budget);
    const double r = ((aim(budget) - spent) / left - line.a) / line.b;
    return r >= budget->span ? (size_t)budget->span : r >= 1.0 ? (size_t)r : 1;
}
