#include "fuzz.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t fuzz_failures = 3;

static struct heap { size_t calls, blocks, fail_at; } ours, json;

_Noreturn void fuzz_broken(const char *condition, const char *file, int line) {
    fprintf(stderr, "%s:%d: expected %s\n", file, line, condition);
    abort();
}

void fuzz_check_status(int status, const vdt_error *error) {
    FUZZ_REQUIRE(status <= 0 && (int)error->status == status);
    FUZZ_REQUIRE((status == 0) == (error->message[0] == '\0'));
    FUZZ_REQUIRE(strchr(error->message, '\n') == NULL);
}

static void *take(struct heap *heap, size_t bytes, size_t alignment) {
    enum { MOST_BYTES = 64 << 20, MOST_CALLS = 20000 }; // a million labels would be slow to fuzz
    if (++heap->calls == heap->fail_at || heap->calls > MOST_CALLS || bytes > MOST_BYTES)
        return NULL;
    heap->blocks++;
    if (!alignment) return malloc(bytes);
    return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

static void *allocate(void *user, size_t bytes) {
    return take(user, bytes, 64);
}

static void release(void *user, void *pointer, size_t bytes) {
    (void)bytes;
    ((struct heap *)user)->blocks--;
    free(pointer);
}

static void *json_allocate(size_t bytes) {
    return take(&json, bytes, 0);
}

static void json_release(void *pointer) {
    if (pointer) json.blocks--;
    free(pointer);
}

// The JSON library's memory is counted and never fails: jansson 2.14 writes past a string that it
// could not enlarge, which is not ours to find.
static void run_once(fuzz_target *target, const uint8_t *data, size_t size, size_t fail_at) {
    struct memory memory = {{allocate, release, &ours}};
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (!copy) return;
    if (size > 0) memcpy(copy, data, size);
    ours = (struct heap){.fail_at = fail_at};
    json = (struct heap){0};
    target(&memory, copy, size);
    free(copy);
    FUZZ_REQUIRE(ours.blocks == 0);
    FUZZ_REQUIRE(json.blocks == 0);
}

void fuzz_run(fuzz_target *target, const uint8_t *data, size_t size) {
    json_set_alloc_funcs(json_allocate, json_release);
    json_object_seed(1); // the same input, the same run
    run_once(target, data, size, 0);
    const size_t calls = ours.calls;
    for (size_t n = 1; n <= calls && n <= fuzz_failures; n++) run_once(target, data, size, n);
}
