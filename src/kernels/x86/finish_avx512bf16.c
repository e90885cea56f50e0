#include "kernels/x86/finish_avx512.h"

void finish_init_avx512bf16(struct kernels *table) {
    table->finish = finish_avx512;
}
