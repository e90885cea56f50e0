// What this CPU can do, and how far a user lets us go.
//
// Levels form a ladder (vdt_cpu): a level has everything below it. Detection asks both the CPU
// (cpuid) and the operating system (whether it saves the wide registers; for those of matrix units the process
// has to ask, which cpu_detect does).
#ifndef VIDETTE_KERNELS_CPU_H
#define VIDETTE_KERNELS_CPU_H

#include <stddef.h>

#include <vidette/vidette.h>

// The highest level of this machine.
vdt_cpu cpu_detect(void);

// "c", "avx2", "avx512", "avx512vnni", "avx512bf16", "amx".
const char *cpu_name(vdt_cpu level);

// Bytes of a core's second cache; 0 where the system does not say.
size_t cpu_second_cache_bytes(void);

#endif
