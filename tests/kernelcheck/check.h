// What the checks of kernels share, and their names.
//
// A check runs the kernel of `kernels` that its case names, in the case's format or activation, over random
// inputs, and calls `expect` with each error and its bound. The truth is double precision or exact integers
// computed in the check, never another kernel. Inputs and outputs are heap blocks of the exact size, so that a
// sanitizer sees any access outside.
#ifndef VIDETTE_KERNELCHECK_CHECK_H
#define VIDETTE_KERNELCHECK_CHECK_H

#include "core/clock.h"
#include "kernels/kernels.h"
#include "support.h"

static const double U = 0x1p-24;

struct check {
    const struct kernels *kernels;
    enum format format;
    enum activation activation;
    struct random random;
    const char *kernel;
    size_t failures, cases;
    double worst; // largest error as a share of its bound
};

// Counts a case; error <= bound, or it failed (so does NaN). `place`, a format of a, b and c, says where.
void expect(struct check *check, double error, double bound, const char *place, size_t a, size_t b,
            size_t c);

// Times are billions a second of what the case's unit says.

// check_products.c
void check_pack_rows(struct check *check);
void check_pack_columns(struct check *check);
void check_product(struct check *check);
double time_product(struct check *check);
void check_encode(struct check *check);
void check_encode_weights(struct check *check);

// check_rows.c
void check_finish(struct check *check);
void check_activation(struct check *check);
double time_activation(struct check *check);
void check_add(struct check *check);
void check_norm(struct check *check);
double time_norm(struct check *check);

// check_attention.c
void check_softmax(struct check *check);
double time_softmax(struct check *check);
void check_outer_sum(struct check *check);
void check_outer_sum_at(struct check *check);

// check_decisions.c
void check_distance(struct check *check);
double time_distance_f32(struct check *check);
void check_difference(struct check *check);
double time_difference(struct check *check);
void check_match(struct check *check);
double time_match(struct check *check);

// check_resize.c
void check_resize_row(struct check *check);
double time_resize_row(struct check *check);
void check_resize_column(struct check *check);

#endif
