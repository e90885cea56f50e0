#include "kernels/kernels.h"
#include "kernels/x86/bf16_avx512.h"

void encode_init_avx512bf16(struct kernels *table) {
    table->encode[FORMAT_BF16] = table->encode_weights[FORMAT_BF16] = encode_bf16_avx512;
}
