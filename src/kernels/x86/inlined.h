// For what takes a constant (a format, a number of rows, a function) and is to be compiled anew for each.
#ifndef VIDETTE_KERNELS_X86_INLINED_H
#define VIDETTE_KERNELS_X86_INLINED_H

#define INLINED static inline __attribute__((always_inline))

#endif
