#include "kernels/cpu.h"

#include <stdbool.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>

// The compiler's runtime asks the CPU (cpuid) and the operating system (xgetbv) together.
static bool has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

// Linux saves the registers of matrix units only for processes that have asked for it. Asking again is harmless.
static bool may_use_tiles(void) {
#if defined(__linux__)
    enum { REQUEST_FEATURE = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST_FEATURE, TILE_DATA) == 0;
#else
    return false;
#endif
}

static bool has_amx(void) {
    unsigned a, b, c, d;
    const unsigned amx_bf16 = 1u << 22, amx_tile = 1u << 24, amx_int8 = 1u << 25,
                   all = amx_bf16 | amx_tile | amx_int8;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & all) == all && may_use_tiles();
}
#endif

vdt_cpu cpu_detect(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return VDT_CPU_C;
    if (!has_avx512()) return VDT_CPU_AVX2;
    if (!__builtin_cpu_supports("avx512vnni")) return VDT_CPU_AVX512;
    if (!__builtin_cpu_supports("avx512bf16")) return VDT_CPU_AVX512_VNNI;
    return has_amx() ? VDT_CPU_AMX : VDT_CPU_AVX512_BF16;
#else
    return VDT_CPU_C;
#endif
}

size_t cpu_second_cache_bytes(void) {
#if defined(_SC_LEVEL2_CACHE_SIZE)
    const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
    return bytes > 0 ? (size_t)bytes : 0;
#else
    return 0;
#endif
}

const char *cpu_name(vdt_cpu level) {
    switch (level) {
    case VDT_CPU_C: return "c";
    case VDT_CPU_AVX2: return "avx2";
    case VDT_CPU_AVX512: return "avx512";
    case VDT_CPU_AVX512_VNNI: return "avx512vnni";
    case VDT_CPU_AVX512_BF16: return "avx512bf16";
    case VDT_CPU_AMX: return "amx";
    case VDT_CPU_BEST: return "best";
    }
    return "unknown";
}
