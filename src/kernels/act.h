// Constants that all variants of the activations share.
//
// erf(x) = x P(x^2) / Q(x^2) on [-4, 4], where it reaches +-1 in f32: a minimax fit of the relative
// error (2.5e-8 in exact arithmetic, 3.4e-7 after rounding).
#ifndef VIDETTE_KERNELS_ACT_H
#define VIDETTE_KERNELS_ACT_H

#define GELU_TANH_LINEAR 1.5957691216f // 2 sqrt(2 / pi)
#define GELU_TANH_CUBIC  0.044715f
#define GELU_QUICK_SLOPE 1.702f
#define SQRT_HALF        0.70710678f

#define ERF_LIMIT 4.0f
#define ERF_P0    1.1283791065216064f
#define ERF_P1    0.19354553520679474f
#define ERF_P2    0.0531017929315567f
#define ERF_P3    0.00388335925526917f
#define ERF_P4    0.00028456549625843763f
#define ERF_P5    1.98676980289747e-06f
#define ERF_Q0    1.0f
#define ERF_Q1    0.5048578381538391f
#define ERF_Q2    0.11535017937421799f
#define ERF_Q3    0.015207283198833466f
#define ERF_Q4    0.0011855734046548605f
#define ERF_Q5    3.742002081708051e-05f

#endif
