// The foundation: messages, checked arithmetic, allocation, arenas, conversions, files, the pool.
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/checked.h"
#include "core/pool.h"
#include "core/tensor.h"
#include "support.h"

static void first_error_wins(void **state) {
    (void)state;
    vdt_error error = {0};
    assert_int_equal(status_fail(&error, VDT_ERROR_IO, "%s: first\nline", "a"), VDT_ERROR_IO);
    assert_int_equal(status_fail(&error, VDT_ERROR_MEMORY, "second"), VDT_ERROR_MEMORY);
    assert_int_equal(error.status, VDT_ERROR_IO);
    assert_string_equal(error.message, "a: first?line");
    assert_int_equal(status_prefix(&error, VDT_ERROR_IO, "b"), VDT_ERROR_IO);
    assert_string_equal(error.message, "b: a: first?line");
    assert_int_equal(status_fail(NULL, VDT_ERROR_IO, "nobody listens"), VDT_ERROR_IO);
    char wide[2000];
    memset(wide, 'x', sizeof wide - 1);
    wide[sizeof wide - 1] = '\0';
    vdt_error cut = {0};
    status_fail(&cut, VDT_ERROR_IO, "%s", wide);
    assert_int_equal(strlen(cut.message), sizeof cut.message - 1);
}

static void sizes_do_not_wrap(void **state) {
    (void)state;
    size_t out = 5;
    assert_false(checked_add(&out, SIZE_MAX, 1));
    assert_false(checked_multiply(&out, SIZE_MAX / 2, 3));
    assert_false(checked_round_up(&out, SIZE_MAX - 3, 64));
    assert_int_equal(out, 5);
    assert_true(checked_round_up(&out, 65, 64));
    assert_int_equal(out, 128);
    assert_int_equal(ceil_div(0, 7), 0);
    assert_int_equal(ceil_div(SIZE_MAX, 2), SIZE_MAX / 2 + 1);
    vdt_error error = {0};
    assert_null(mem_alloc(test_memory(), SIZE_MAX / 2, 4, "a test", &error));
    assert_int_equal(error.status, VDT_ERROR_MEMORY);
}

static void arrays_grow(void **state) {
    (void)state;
    struct memory *memory = test_memory();
    size_t capacity = 0;
    int *items = NULL;
    for (int i = 0; i < 1000; i++) {
        items = mem_grow(memory, items, &capacity, (size_t)i + 1, sizeof *items, "items", NULL);
        assert_non_null(items);
        assert_int_equal(items[i], 0);
        items[i] = i;
    }
    for (int i = 0; i < 1000; i++) assert_int_equal(items[i], i);
    mem_free(memory, items);
}

// The same layout counted and taken: pointers lie in the block, 64 bytes apart, marks share memory.
static size_t lay_out(struct arena *arena, unsigned char *out[3]) {
    out[0] = arena_take(arena, 10, 8);
    const size_t mark = arena_mark(arena);
    out[1] = arena_take(arena, 1000, 1);
    arena_release(arena, mark);
    out[2] = arena_take(arena, 3, 100);
    return arena->peak;
}

static void arenas_count_then_take(void **state) {
    (void)state;
    struct arena counting = {0};
    unsigned char *none[3], *taken[3];
    const size_t bytes = lay_out(&counting, none);
    assert_int_equal(bytes, 128 + 1024);
    for (size_t i = 0; i < 3; i++) assert_null(none[i]);
    unsigned char *block = aligned_alloc(64, bytes);
    struct arena arena = {.base = block};
    assert_int_equal(lay_out(&arena, taken), bytes);
    assert_ptr_equal(taken[0], block);
    assert_ptr_equal(taken[1], block + 128);
    assert_ptr_equal(taken[2], taken[1]);
    struct arena wrapping = {0};
    arena_take(&wrapping, SIZE_MAX / 8, 16);
    arena_take(&wrapping, 1, 1);
    assert_true(wrapping.overflow);
    free(block);
}

static float as_f32(enum dtype dtype, size_t element_bytes, const void *bytes) {
    const struct tensor tensor = {
        .data = bytes, .dtype = dtype, .element_bytes = element_bytes, .count = 1};
    float value;
    tensor_to_f32(&value, &tensor, 0, 1);
    return value;
}

static void half_precision_converts_exactly(void **state) {
    (void)state;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        const uint16_t half = (uint16_t)bits;
        const uint32_t exponent = half >> 10 & 31, mantissa = half & 1023;
        double truth =
            exponent ? ldexp(1.0 + mantissa / 1024.0, (int)exponent - 15) : ldexp(mantissa, -24);
        if (exponent == 31) truth = mantissa ? (double)NAN : (double)INFINITY;
        if (half & 0x8000) truth = -truth;
        const float value = as_f32(DTYPE_F16, 2, &half);
        if (isnan(truth))
            assert_true(isnan(value));
        else
            assert_true((double)value == truth && !signbit(value) == !signbit(truth));
        const uint32_t wide = bits << 16;
        float truth_bf16;
        memcpy(&truth_bf16, &wide, 4);
        const float bf16 = as_f32(DTYPE_BF16, 2, &half);
        assert_true(isnan(truth_bf16) ? isnan(bf16) : bf16 == truth_bf16);
    }
    const double exact = 1.0 / 3.0;
    assert_true(as_f32(DTYPE_F64, 8, &exact) == (float)exact);
}

static void finite_is_noticed(void **state) {
    (void)state;
    float values[37] = {0};
    assert_true(tensor_is_finite(values, 37));
    for (size_t i = 0; i < 37; i++) {
        const float bad[] = {NAN, INFINITY, -INFINITY};
        for (size_t j = 0; j < 3; j++) {
            values[i] = bad[j];
            assert_false(tensor_is_finite(values, 37));
        }
        values[i] = -3e38f;
        assert_true(tensor_is_finite(values, 37));
    }
}

static void files_are_mapped(void **state) {
    (void)state;
    struct mapping mapping;
    vdt_error error = {0};
    assert_int_equal(io_map(&mapping, source_path("LICENSE"), &error), VDT_OK);
    assert_true(mapping.bytes > 1000);
    const unsigned char first = mapping.data[5];
    io_release(mapping.data, mapping.bytes);
    assert_int_equal(mapping.data[5], first); // still there
    io_unmap(&mapping);
    assert_int_equal(io_map(&mapping, "/nowhere/at/all", &error), VDT_ERROR_IO);
    vdt_error directory = {0};
    assert_int_equal(io_map(&mapping, source_path("src"), &directory), VDT_ERROR_IO);
    assert_non_null(strstr(directory.message, "directory"));
    size_t offset, length;
    io_base_name("/a/model//", &offset, &length);
    assert_int_equal(offset, 3);
    assert_int_equal(length, 5);
}

struct counting {
    unsigned char done[5000];
    unsigned char threads[POOL_MAX_THREADS];
};

static void count_task(void *argument, size_t task, size_t thread) {
    struct counting *counting = argument;
    counting->done[task]++; // each task is one thread's
    counting->threads[thread] = 1;
}

static void every_task_runs_once(void **state) {
    (void)state;
    static const size_t threads[] = {1, 2, 5, 16};
    static const size_t tasks[] = {0, 1, 2, 17, 5000};
    for (size_t t = 0; t < 4; t++) {
        struct pool *pool;
        assert_int_equal(pool_open(&pool, test_memory(), threads[t], NULL), VDT_OK);
        for (size_t repeat = 0; repeat < 200; repeat++) {
            struct counting *counting = calloc(1, sizeof *counting);
            const size_t n = tasks[repeat % 5];
            pool_run(pool, n, count_task, counting);
            for (size_t i = 0; i < 5000; i++) assert_int_equal(counting->done[i], i < n);
            for (size_t i = threads[t]; i < POOL_MAX_THREADS; i++)
                assert_int_equal(counting->threads[i], 0);
            free(counting);
        }
        pool_close(&pool);
        assert_null(pool);
    }
}

struct caller {
    struct pool *pool;
    struct counting counting;
};

static void *call_pool(void *argument) {
    struct caller *caller = argument;
    for (size_t i = 0; i < 100; i++) pool_run(caller->pool, 100, count_task, &caller->counting);
    return NULL;
}

static void callers_take_turns(void **state) {
    (void)state;
    enum { CALLERS = 3 };
    struct pool *pool;
    pthread_t threads[CALLERS];
    struct caller *callers = calloc(CALLERS, sizeof *callers);
    assert_int_equal(pool_open(&pool, test_memory(), 3, NULL), VDT_OK);
    for (size_t i = 0; i < CALLERS; i++) {
        callers[i].pool = pool;
        pthread_create(&threads[i], NULL, call_pool, &callers[i]);
    }
    for (size_t i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], NULL);
        for (size_t j = 0; j < 100; j++) assert_int_equal(callers[i].counting.done[j], 100);
    }
    pool_close(&pool);
    free(callers);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_error_wins),
        cmocka_unit_test(sizes_do_not_wrap),
        cmocka_unit_test(arrays_grow),
        cmocka_unit_test(arenas_count_then_take),
        cmocka_unit_test(half_precision_converts_exactly),
        cmocka_unit_test(finite_is_noticed),
        cmocka_unit_test(files_are_mapped),
        cmocka_unit_test(every_task_runs_once),
        cmocka_unit_test(callers_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
