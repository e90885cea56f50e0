#include "models/context.h"

#include "kernels/cpu.h"

int context_progress(const struct vdt_context *context, const char *what, size_t done, size_t total,
                     vdt_error *error) {
    if (!context->progress || context->progress(context->progress_user, what, done, total) == 0) {
        return VDT_OK;
    }
    return status_fail(error, VDT_ERROR_CANCELLED, "%s: cancelled after %zu of %zu", what, done,
                       total);
}

void vdt_context_options_init(vdt_context_options *options) {
    *options = (vdt_context_options){.abi = VDT_ABI, .cpu = VDT_CPU_BEST};
}

static int check_options(const vdt_context_options *options, vdt_error *error) {
    if (options->abi != VDT_ABI) {
        return status_fail(error, VDT_ERROR_ARGUMENT, "context options: expected ABI %u, found %u",
                           VDT_ABI, options->abi);
    }
    if (options->threads > POOL_MAX_THREADS) {
        return status_fail(error, VDT_ERROR_ARGUMENT, "threads: expected 0..%d, found %u",
                           POOL_MAX_THREADS, options->threads);
    }
    const vdt_cpu best = cpu_detect();
    if (options->cpu != VDT_CPU_BEST && options->cpu > best) {
        return status_fail(error, VDT_ERROR_UNSUPPORTED, "cpu: this machine has %s, not %s",
                           cpu_name(best), cpu_name(options->cpu));
    }
    if ((options->allocator.allocate == NULL) != (options->allocator.release == NULL)) {
        return status_fail(error, VDT_ERROR_ARGUMENT, "allocator: expected both functions or none");
    }
    return VDT_OK;
}

static int open_parts(struct vdt_context *context, const vdt_context_options *options,
                      vdt_error *error) {
    size_t threads = options->threads > 0 ? options->threads : pool_cpus();
    if (threads > POOL_MAX_THREADS) threads = POOL_MAX_THREADS;
    const vdt_cpu best = cpu_detect();
    context->cpu = options->cpu == VDT_CPU_BEST ? best : options->cpu;
    kernels_init(&context->kernels, context->cpu);
    return pool_open(&context->pool, &context->memory, threads, error);
}

vdt_status vdt_context_open(vdt_context **out, const vdt_context_options *options,
                            vdt_error *error) {
    vdt_context_options defaults;
    vdt_context_options_init(&defaults);
    if (!options) options = &defaults;
    int status = check_options(options, error);
    if (status) return status;
    struct memory memory = {options->allocator.allocate ? options->allocator
                                                        : mem_default_allocator()};
    struct vdt_context *context = mem_alloc(&memory, 1, sizeof *context, "context", error);
    if (!context) return VDT_ERROR_MEMORY;
    context->memory = memory;
    context->progress = options->progress;
    context->progress_user = options->progress_user;
    status = open_parts(context, options, error);
    if (status) {
        vdt_context_close(&context);
    } else {
        *out = context;
    }
    return status;
}

void vdt_context_close(vdt_context **handle) {
    if (!handle || !*handle) return;
    struct vdt_context *context = *handle;
    pool_close(&context->pool);
    struct memory memory = context->memory; // the context itself lies in it
    mem_free(&memory, context);
    *handle = NULL;
}

uint32_t vdt_context_threads(const vdt_context *context) {
    return (uint32_t)pool_threads(context->pool);
}

const char *vdt_context_cpu(const vdt_context *context) {
    return cpu_name(context->cpu);
}
