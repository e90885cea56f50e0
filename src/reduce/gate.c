#include "reduce/gate.h"

#include "core/checked.h"

enum { ROWS_A_TASK = 16 };

struct run {
    const struct exec *exec;
    struct gate *gate;
    const struct gate_source *source;
    bool flush;
};

static void measure_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    const struct run *run = argument;
    const struct gate_source *source = run->source;
    struct gate *gate = run->gate;
    const size_t end = min_size((task + 1) * ROWS_A_TASK, gate->n);
    for (size_t i = task * ROWS_A_TASK; i < end; i++) {
        if (source->advance) source->advance(source->argument, i);
        if (run->flush) {
            source->read(source->argument, i, rows_at(gate->u, i));
        } else {
            source->read(source->argument, i, scratch);
            gate->squares[i] = run->exec->kernels->distance[gate->u.format](
                scratch, rows_at(gate->u, i), gate->width);
        }
    }
}

static void accept_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    (void)scratch;
    const struct run *run = argument;
    struct gate *gate = run->gate;
    const size_t end = min_size((task + 1) * ROWS_A_TASK, gate->picked);
    for (size_t i = task * ROWS_A_TASK; i < end; i++) {
        const uint32_t row = gate->index[i];
        run->source->read(run->source->argument, row, rows_at(gate->u, row));
    }
}

bool gate_step(struct exec *exec, struct gate *gate, const struct gate_source *source,
               const struct policy *policy, bool flush) {
    struct run run = {exec, gate, source, flush};
    const struct policy everything = {.kind = POLICY_ALL};
    bool pending;
    exec_run(exec, ceil_div(gate->n, ROWS_A_TASK), measure_task, &run);
    gate->picked = policy_select(flush ? &everything : policy, gate->index, gate->squares,
                                 gate->waited, gate->keys, gate->n, &pending);
    if (!flush) exec_run(exec, ceil_div(gate->picked, ROWS_A_TASK), accept_task, &run);
    return pending;
}

size_t gate_scratch_bytes(size_t width) {
    return width * sizeof(float);
}
