#include "kernels/cpu.h"

vdt_cpu cpu_detect(void) {
#if defined(__x86_64__)
    // The compiler's runtime checks cpuid and xgetbv together.
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return VDT_CPU_C;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl")) {
        return VDT_CPU_AVX2;
    }
    return VDT_CPU_AVX512;
#else
    return VDT_CPU_C;
#endif
}

const char *cpu_name(vdt_cpu level) {
    switch (level) {
    case VDT_CPU_C: return "c";
    case VDT_CPU_AVX2: return "avx2";
    case VDT_CPU_AVX512: return "avx512";
    case VDT_CPU_BEST: return "best";
    }
    return "unknown";
}
