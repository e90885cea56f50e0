// NumPy files: headers of all versions, then reading every byte of the array.
#include "format/npy.h"
#include "fuzz.h"

static void target(struct memory *memory, const uint8_t *data, size_t size) {
    (void)memory;
    struct tensor array = {.count = 77};
    vdt_error error = {0};
    const int status = npy_parse_u8(&array, data, size, "N", &error);
    fuzz_check_status(status, &error);
    if (status) {
        FUZZ_REQUIRE(array.count == 77);
        return;
    }
    size_t count = 1, sum = 0;
    for (size_t i = 0; i < array.n_dimensions; i++) count *= array.shape[i];
    FUZZ_REQUIRE(array.n_dimensions <= TENSOR_DIMENSIONS && count == array.count);
    FUZZ_REQUIRE(array.element_bytes == 1 && array.data >= data && array.count <= size);
    for (size_t i = 0; i < array.count; i++) sum += array.data[i];
    FUZZ_REQUIRE(sum <= 255 * array.count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_run(target, data, size);
    return 0;
}
