// Checks every variant of every kernel that this CPU has (check.h); times each in the same case.
//
//     kernelcheck [SEED]
//
// A variant that is the same function as the level below's is reported as skipped.
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "kernels/cpu.h"

void expect(struct check *check, double error, double bound, const char *place, size_t a, size_t b,
            size_t c) {
    check->cases++;
    const double share = bound > 0.0 ? error / bound : error > 0.0 ? INFINITY : 0.0;
    if (!(share <= check->worst)) check->worst = share;
    if (error <= bound) return;
    if (check->failures++ < 5) {
        fprintf(stderr, "%s %s: error %g, bound %g, at ", check->kernels->name, check->kernel,
                error, bound);
        fprintf(stderr, place, a, b, c);
        fputc('\n', stderr);
    }
}

#define MEMBER(name) offsetof(struct kernels, name)

static const struct {
    const char *name;
    size_t member; // of the table
    void (*check)(struct check *check);
    double (*time)(struct check *check); // may be NULL
    const char *unit;
    enum format format;
    enum activation activation;
} cases[] = {
    {"pack_rows", MEMBER(pack_rows), .check = check_pack_rows},
    {"pack_columns_f32", MEMBER(pack_columns[FORMAT_F32]), .check = check_pack_columns},
    {"pack_columns_bf16", MEMBER(pack_columns[FORMAT_BF16]), .check = check_pack_columns,
     .format = FORMAT_BF16},
    {"product_f32", MEMBER(product[FORMAT_F32]), .check = check_product, .time = time_product,
     .unit = "Gop/s"},
    {"product_bf16", MEMBER(product[FORMAT_BF16]), .check = check_product, .time = time_product,
     .unit = "Gop/s", .format = FORMAT_BF16},
    {"product_i8", MEMBER(product[FORMAT_I8]), .check = check_product, .time = time_product,
     .unit = "Gop/s", .format = FORMAT_I8},
    {"encode_f32", MEMBER(encode[FORMAT_F32]), .check = check_encode},
    {"encode_bf16", MEMBER(encode[FORMAT_BF16]), .check = check_encode, .format = FORMAT_BF16},
    {"encode_i8", MEMBER(encode[FORMAT_I8]), .check = check_encode, .format = FORMAT_I8},
    {"encode_weights_bf16", MEMBER(encode_weights[FORMAT_BF16]), .check = check_encode_weights,
     .format = FORMAT_BF16},
    {"encode_weights_i8", MEMBER(encode_weights[FORMAT_I8]), .check = check_encode_weights,
     .format = FORMAT_I8},
    {"finish", MEMBER(finish), .check = check_finish},
    {"softmax_f32", MEMBER(softmax[FORMAT_F32]), .check = check_softmax, .time = time_softmax,
     .unit = "Gexp/s"},
    {"softmax_bf16", MEMBER(softmax[FORMAT_BF16]), .check = check_softmax, .time = time_softmax,
     .unit = "Gexp/s", .format = FORMAT_BF16},
    {"outer_sum", MEMBER(outer_sum), .check = check_outer_sum},
    {"outer_sum_at", MEMBER(outer_sum_at), .check = check_outer_sum_at},
    {"distance_f32", MEMBER(distance[FORMAT_F32]), .check = check_distance,
     .time = time_distance_f32, .unit = "Gvalue/s"},
    {"distance_bf16", MEMBER(distance[FORMAT_BF16]), .check = check_distance,
     .format = FORMAT_BF16},
    {"distance_i8", MEMBER(distance[FORMAT_I8]), .check = check_distance, .format = FORMAT_I8},
    {"add", MEMBER(add_f32), .check = check_add},
    {"norm", MEMBER(layernorm_f32), .check = check_norm, .time = time_norm, .unit = "Gvalue/s"},
    {"gelu", MEMBER(activation_f32[ACTIVATION_GELU]), .check = check_activation,
     .time = time_activation, .unit = "Gvalue/s", .activation = ACTIVATION_GELU},
    {"gelu_tanh", MEMBER(activation_f32[ACTIVATION_GELU_TANH]), .check = check_activation,
     .activation = ACTIVATION_GELU_TANH},
    {"gelu_quick", MEMBER(activation_f32[ACTIVATION_GELU_QUICK]), .check = check_activation,
     .activation = ACTIVATION_GELU_QUICK},
    {"silu", MEMBER(activation_f32[ACTIVATION_SILU]), .check = check_activation,
     .activation = ACTIVATION_SILU},
    {"resize_row", MEMBER(resize_row_u8), .check = check_resize_row, .time = time_resize_row,
     .unit = "Gtap/s"},
    {"resize_column", MEMBER(resize_column_u8), .check = check_resize_column},
    {"difference", MEMBER(difference_rgb_u8), .check = check_difference, .time = time_difference,
     .unit = "Gbyte/s"},
    {"match", MEMBER(match_f64), .check = check_match, .time = time_match, .unit = "Gop/s"},
};

typedef void (*any_function)(void);

static any_function function_at(const struct kernels *kernels, size_t member) {
    any_function function;
    memcpy(&function, (const unsigned char *)kernels + member, sizeof function);
    return function;
}

static size_t check_level(const struct kernels *kernels, const struct kernels *below,
                          uint64_t seed) {
    size_t failures = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const any_function function = function_at(kernels, cases[i].member);
        if (!function) continue; // not offered at this level
        if (below && function == function_at(below, cases[i].member)) {
            printf("%-10s %-18s skipped: the same as %s\n", kernels->name, cases[i].name,
                   below->name);
            continue;
        }
        struct check check = {.kernels = kernels,
                              .format = cases[i].format,
                              .activation = cases[i].activation,
                              .random = {seed + i},
                              .kernel = cases[i].name};
        cases[i].check(&check);
        printf("%-10s %-18s %s  %7zu checks, worst %.2f of the bound", kernels->name, cases[i].name,
               check.failures ? "FAILED" : "ok    ", check.cases, check.worst);
        if (cases[i].time) printf("  %8.2f %s", cases[i].time(&check), cases[i].unit);
        printf("\n");
        failures += check.failures;
    }
    return failures;
}

int main(int argc, char **argv) {
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 20261122;
    struct kernels tables[VDT_CPU_AMX + 1];
    size_t failures = 0;
    printf("seed %llu\n", (unsigned long long)seed);
    for (int level = VDT_CPU_C; level <= (int)cpu_detect(); level++) {
        kernels_init(&tables[level], (vdt_cpu)level);
        failures += check_level(&tables[level], level > 0 ? &tables[level - 1] : NULL, seed + 1000);
    }
    printf("%zu failures\n", failures);
    return failures > 0;
}
