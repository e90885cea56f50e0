#include "kernels/kernels.h"

#include "kernels/cpu.h"

void kernels_init(struct kernels *table, vdt_cpu level) {
    table->name = cpu_name(VDT_CPU_C);
    product_init_c(table);
    encode_init_c(table);
    finish_init_c(table);
    softmax_init_c(table);
    norm_init_c(table);
    pixel_init_c(table);
    distance_init_c(table);
    match_init_c(table);
#if defined(__x86_64__)
    if (level < VDT_CPU_AVX2) return;
    table->name = cpu_name(VDT_CPU_AVX2);
    product_init_avx2(table);
    encode_init_avx2(table);
    finish_init_avx2(table);
    softmax_init_avx2(table);
    norm_init_avx2(table);
    pixel_init_avx2(table);
    distance_init_avx2(table);
    match_init_avx2(table);

    if (level < VDT_CPU_AVX512) return;
    table->name = cpu_name(VDT_CPU_AVX512);
    product_init_avx512(table);
    encode_init_avx512(table);
    finish_init_avx512(table);
    softmax_init_avx512(table);
    norm_init_avx512(table);
    distance_init_avx512(table);
    match_init_avx512(table);

    if (level < VDT_CPU_AVX512_VNNI) return;
    table->name = cpu_name(VDT_CPU_AVX512_VNNI);
    product_init_avx512vnni(table);

    if (level < VDT_CPU_AVX512_BF16) return;
    table->name = cpu_name(VDT_CPU_AVX512_BF16);
    product_init_avx512bf16(table);
    encode_init_avx512bf16(table);
    finish_init_avx512bf16(table);
    softmax_init_avx512bf16(table);

    if (level < VDT_CPU_AMX) return;
    table->name = cpu_name(VDT_CPU_AMX);
    product_init_amx(table);
#else
    (void)level;
#endif
}
