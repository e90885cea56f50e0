// What the fuzz targets share: each input runs once with all the memory it wants and then again
// with an allocation failing, and must give everything back.
#ifndef VIDETTE_TESTS_FUZZ_H
#define VIDETTE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "core/mem.h"

// One run over a block of exactly `size` bytes.
typedef void fuzz_target(struct memory *memory, const uint8_t *data, size_t size);

// Runs the target, then again with the n-th call of the allocator failing, for n up to
// fuzz_failures. Blocks beyond 64 MiB, and calls beyond 20,000, are always refused.
void fuzz_run(fuzz_target *target, const uint8_t *data, size_t size);
extern size_t fuzz_failures;

// Like assert, but in every build.
#define FUZZ_REQUIRE(condition)                                                                    \
    ((condition) ? (void)0 : fuzz_broken(#condition, __FILE__, __LINE__))
_Noreturn void fuzz_broken(const char *condition, const char *file, int line);

// A status that a function returned: 0 without a message, or an error with one line of it.
void fuzz_check_status(int status, const vdt_error *error);

// libFuzzer's entry, which every target defines.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
