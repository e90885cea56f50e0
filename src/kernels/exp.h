// exp(x) for f32, the constants of every variant and the plain C one.
//
// x = n ln 2 + r with |r| <= ln(2) / 2, exp(x) = 2^n (1 + r + r^2 q(r)), q of degree 4: a minimax
// fit of the relative error over that range (3.1e-9 in exact arithmetic, so rounding dominates). ln
// 2 is split into a part whose product with n is exact and the rest (Cody & Waite 1980).
#ifndef VIDETTE_KERNELS_EXP_H
#define VIDETTE_KERNELS_EXP_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define EXP_LOG2E    0x1.715476p+0f
#define EXP_LN2_HIGH 0x1.63p-1f         // 0.693359375
#define EXP_LN2_LOW  (-0x1.bd0106p-13f) // ln 2 - EXP_LN2_HIGH
#define EXP_Q0       0x1.fffffcp-2f
#define EXP_Q1       0x1.555492p-3f
#define EXP_Q2       0x1.5558f2p-5f
#define EXP_Q3       0x1.1239e2p-7f
#define EXP_Q4       0x1.6a2434p-10f
// 2^t for t <= 0 or small: t = n + f with |f| <= 1/2, 2^t = 2^n (1 + f q(f)), minimax fits of the
// relative error: 9.2e-8 for the degree 5 of EXP2, 1.0e-4 for the degree 3 of EXP2_ROUGH, which serves
// results that are rounded to bf16 (3.9e-3).
#define EXP2_C1       0x1.62e42ap-1f
#define EXP2_C2       0x1.ebf9bcp-3f
#define EXP2_C3       0x1.c6b754p-5f
#define EXP2_C4       0x1.3ceab4p-7f
#define EXP2_C5       0x1.5bb9e4p-10f
#define EXP2_ROUGH_C1 0x1.62f5fep-1f
#define EXP2_ROUGH_C2 0x1.f00cb6p-3f
#define EXP2_ROUGH_C3 0x1.c2a1aep-5f
#define EXP2_MIN      (-126.0f) // below, the result is 0 or as good as 0

#define EXP_MIN (-87.0f) // below, the result is 0
#define EXP_MAX 88.0f    // above, the argument is taken as this

// Relative error <= 2e-7 for x in [EXP_MIN, EXP_MAX]; NaN stays NaN.
static inline float exp_f32(float x) {
    if (!(x >= EXP_MIN)) return x < EXP_MIN ? 0.0f : x;
    if (x > EXP_MAX) x = EXP_MAX;
    const float n = rintf(x * EXP_LOG2E);
    const float r = (x - n * EXP_LN2_HIGH) - n * EXP_LN2_LOW;
    const float q = (((EXP_Q4 * r + EXP_Q3) * r + EXP_Q2) * r + EXP_Q1) * r + EXP_Q0;
    const uint32_t bits = (uint32_t)((int32_t)n + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return power * (1.0f + (r + r * r * q));
}

#endif
