// The inner loop of AVX2's products: up to six rows of A by the 16 columns of a panel of B.
//
// Of 16 registers six rows take 12 for their sums, f32 two for a lane of B and one for a lane of A. Compilers get by
// with so few only now and then, and keep sums in memory: so this is machine code. There is no instruction for four
// products of int8: pairs of products, A's numbers unsigned and B's signed, are added in 16 bits, and these in 32, by a
// multiplication with ones. 16 bits suffice: 255 (|q_2i| + |q_2i+1|) < 2^15. A row's lane takes twice as long as one of
// f32, time enough to read B from memory for each row: that saves its two registers, and an instruction in twenty.
#ifndef VIDETTE_KERNELS_X86_TILE_AVX2_H
#define VIDETTE_KERNELS_X86_TILE_AVX2_H

#include <stddef.h>

enum { TILE_ROWS = 6 };

enum { TILE_STEP = 4 }; // lanes that are written out

// Rows of sums, and lanes of B, are 64 bytes.
struct tile {
    const void *const *a; // (rows); of int8 with the row's scale behind its lanes
    const void *b;        // of int8 with the columns' scales behind its lanes
    const void *next;     // fetched into the second cache, a cache line a step
    size_t next_step;     // bytes between two of them
    size_t lanes;
    const void *from; // sums of row i (of int8 int32_t) start from what is at from + i * from_bytes
    size_t from_bytes;
    void *to; // and go, f32, to to + i * to_bytes
    size_t to_bytes;
};

// rax: the lane, rcx: how many are left, rdx: B, rsi: next, r8 to r13: rows of A, rdi: the tile. Before the loop rax,
// behind it rsi is a row of sums, and rcx the bytes between two.
#define LINE(text) text "\n\t"

#define ROWS_1(each, lane) each(lane, "0", "r8", "ymm0", "ymm1")
#define ROWS_2(each, lane) ROWS_1(each, lane) each(lane, "1", "r9", "ymm2", "ymm3")
#define ROWS_3(each, lane) ROWS_2(each, lane) each(lane, "2", "r10", "ymm4", "ymm5")
#define ROWS_4(each, lane) ROWS_3(each, lane) each(lane, "3", "r11", "ymm6", "ymm7")
#define ROWS_5(each, lane) ROWS_4(each, lane) each(lane, "4", "r12", "ymm8", "ymm9")
#define ROWS_6(each, lane) ROWS_5(each, lane) each(lane, "5", "r13", "ymm10", "ymm11")

#define LOAD_ROW(lane, row, a, left, right)                                                        \
    LINE("mov 8*" row "(%%rsi), %%" a)                                                             \
    LINE("vmovups (%%rax), %%" left)                                                               \
    LINE("vmovups 32(%%rax), %%" right)                                                            \
    LINE("add %%rcx, %%rax")

#define STORE_F32(lane, row, a, left, right)                                                       \
    LINE("vmovups %%" left ", (%%rsi)")                                                            \
    LINE("vmovups %%" right ", 32(%%rsi)")                                                         \
    LINE("add %%rcx, %%rsi")

// A sum times its row's scale, times its column's.
#define STORE_I8(lane, row, a, left, right)                                                        \
    LINE("vbroadcastss (%%" a ",%%rax,4), %%ymm12")                                                \
    LINE("vcvtdq2ps %%" left ", %%" left)                                                          \
    LINE("vcvtdq2ps %%" right ", %%" right)                                                        \
    LINE("vmulps %%ymm12, %%" left ", %%" left)                                                    \
    LINE("vmulps %%ymm12, %%" right ", %%" right)                                                  \
    LINE("vmulps (%%rdx), %%" left ", %%" left)                                                    \
    LINE("vmulps 32(%%rdx), %%" right ", %%" right)                                                \
    STORE_F32(lane, row, a, left, right)

#define ROW_F32(lane, row, a, left, right)                                                         \
    LINE("vbroadcastss 4*" lane "(%%" a ",%%rax,4), %%ymm14")                                      \
    LINE("vfmadd231ps %%ymm12, %%ymm14, %%" left)                                                  \
    LINE("vfmadd231ps %%ymm13, %%ymm14, %%" right)

#define ROW_I8(lane, row, a, left, right)                                                          \
    LINE("vpbroadcastd 4*" lane "(%%" a ",%%rax,4), %%ymm12")                                      \
    LINE("vpmaddubsw 64*" lane "(%%rdx), %%ymm12, %%ymm13")                                        \
    LINE("vpmaddubsw 64*" lane "+32(%%rdx), %%ymm12, %%ymm12")                                     \
    LINE("vpmaddwd %%ymm15, %%ymm13, %%ymm13")                                                     \
    LINE("vpmaddwd %%ymm15, %%ymm12, %%ymm12")                                                     \
    LINE("vpaddd %%ymm13, %%" left ", %%" left)                                                    \
    LINE("vpaddd %%ymm12, %%" right ", %%" right)

// B itself is fetched 16 lanes ahead.
#define FETCH(lane) LINE("prefetcht0 64*" lane "+1024(%%rdx)")

#define LANE_F32(rows, lane)                                                                       \
    FETCH(lane)                                                                                    \
    LINE("vmovups 64*" lane "(%%rdx), %%ymm12")                                                    \
    LINE("vmovups 64*" lane "+32(%%rdx), %%ymm13")                                                 \
    ROWS_##rows(ROW_F32, lane)

#define LANE_I8(rows, lane)                                                                        \
    FETCH(lane)                                                                                    \
    ROWS_##rows(ROW_I8, lane)

#define CONSTANTS_F32 ""

// ymm15: 16 bits of 1.
#define CONSTANTS_I8                                                                               \
    LINE("vpcmpeqd %%ymm15, %%ymm15, %%ymm15")                                                     \
    LINE("vpsrlw $15, %%ymm15, %%ymm15")

// Four lanes at a time, since with the loop's counting a lane has more instructions than a CPU of four a cycle decodes
// in time; then the rest.
// clang-format off
#define MULTIPLY(rows, format)                                                                     \
    __asm__ volatile(                                                                              \
        LINE("mov %c[a](%%rdi), %%rsi")                                                            \
        LINE("mov %c[from](%%rdi), %%rax")                                                         \
        LINE("mov %c[from_bytes](%%rdi), %%rcx")                                                   \
        ROWS_##rows(LOAD_ROW, "")                                                                  \
        CONSTANTS_##format                                                                         \
        LINE("xor %%eax, %%eax")                                                                   \
        LINE("mov %c[lanes](%%rdi), %%rcx")                                                        \
        LINE("mov %c[b](%%rdi), %%rdx")                                                            \
        LINE("mov %c[next](%%rdi), %%rsi")                                                         \
        LINE("sub $4, %%rcx")                                                                      \
        LINE("jb 2f")                                                                              \
        LINE(".p2align 4")                                                                         \
        LINE("1:")                                                                                 \
        LINE("prefetcht1 (%%rsi)")                                                                 \
        LANE_##format(rows, "0")                                                                   \
        LANE_##format(rows, "1")                                                                   \
        LANE_##format(rows, "2")                                                                   \
        LANE_##format(rows, "3")                                                                   \
        LINE("add %c[next_step](%%rdi), %%rsi")                                                    \
        LINE("add $256, %%rdx")                                                                    \
        LINE("add $4, %%rax")                                                                      \
        LINE("sub $4, %%rcx")                                                                      \
        LINE("jae 1b")                                                                             \
        LINE("2:")                                                                                 \
        LINE("add $4, %%rcx")                                                                      \
        LINE("jz 4f")                                                                              \
        LINE("3:")                                                                                 \
        LANE_##format(rows, "0")                                                                   \
        LINE("add $64, %%rdx")                                                                     \
        LINE("inc %%rax")                                                                          \
        LINE("dec %%rcx")                                                                          \
        LINE("jnz 3b")                                                                             \
        LINE("4:")                                                                                 \
        LINE("mov %c[to](%%rdi), %%rsi")                                                           \
        LINE("mov %c[to_bytes](%%rdi), %%rcx")                                                     \
        ROWS_##rows(STORE_##format, "")                                                            \
        :                                                                                          \
        : "D"(tile), [a] "i"(offsetof(struct tile, a)), [b] "i"(offsetof(struct tile, b)), [next] "i"(offsetof(struct tile, next)),   \
          [next_step] "i"(offsetof(struct tile, next_step)),                                       \
          [lanes] "i"(offsetof(struct tile, lanes)), [from] "i"(offsetof(struct tile, from)),      \
          [from_bytes] "i"(offsetof(struct tile, from_bytes)),                                     \
          [to] "i"(offsetof(struct tile, to)), [to_bytes] "i"(offsetof(struct tile, to_bytes))     \
        : "memory", "cc", "rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13",      \
          "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
          "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")
// clang-format on

// Sums of `rows` rows, at most TILE_ROWS.
static inline void tile_f32(const struct tile *tile, size_t rows) {
    switch (rows) {
    case 6: MULTIPLY(6, F32); break;
    case 5: MULTIPLY(5, F32); break;
    case 4: MULTIPLY(4, F32); break;
    case 3: MULTIPLY(3, F32); break;
    case 2: MULTIPLY(2, F32); break;
    case 1: MULTIPLY(1, F32); break;
    default: break;
    }
}

static inline void tile_i8(const struct tile *tile, size_t rows) {
    switch (rows) {
    case 6: MULTIPLY(6, I8); break;
    case 5: MULTIPLY(5, I8); break;
    case 4: MULTIPLY(4, I8); break;
    case 3: MULTIPLY(3, I8); break;
    case 2: MULTIPLY(2, I8); break;
    case 1: MULTIPLY(1, I8); break;
    default: break;
    }
}

#endif
