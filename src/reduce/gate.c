#include "reduce/gate.h"

#include <math.h>

#include "core/checked.h"

// At most so many rows a task: where there are few, each thread gets the same ones at every gate, and finds them
// in its own cache.
enum { MOST_ROWS = 128 };

struct run {
    const struct exec *exec;
    struct gate *gate;
    const struct gate_source *source;
    size_t rows; // of a task
    bool flush;
};

static void measure_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    const struct run *run = argument;
    const struct gate_source *source = run->source;
    struct gate *gate = run->gate;
    const size_t end = min_size((task + 1) * run->rows, gate->n);
    for (size_t i = task * run->rows; i < end; i++) {
        const bool moves = !source->moves || source->moves(source->argument, i);
        const struct gate_row which = {i, min_size(i + 1, gate->n - 1), false};
        if (run->flush) {
            source->read(source->argument, which, rows_at(gate->u, i));
        } else if (moves) {
            source->read(source->argument, which, scratch);
            gate->squares[i] = run->exec->kernels->distance[gate->u.format](
                scratch, rows_at(gate->u, i), rows_at(gate->u, which.next), gate->width);
        }
    }
}

static void accept_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    (void)scratch;
    const struct run *run = argument;
    struct gate *gate = run->gate;
    const size_t end = min_size((task + 1) * run->rows, gate->picked);
    for (size_t i = task * run->rows; i < end; i++) {
        const uint32_t row = gate->index[i], next = gate->index[min_size(i + 1, gate->picked - 1)];
        void *u = rows_at(gate->u, row);
        run->source->read(run->source->argument, (struct gate_row){row, next, true}, u);
        // Zero, or NaN where a number is not finite: there the square that was measured is not, either.
        gate->squares[row] =
            isfinite(gate->squares[row])
                ? 0.0
                : run->exec->kernels->distance[gate->u.format](u, u, u, gate->width);
    }
}

static void run_rows(struct exec *exec, size_t n, exec_task *task, struct run *run) {
    run->rows = exec_rows_a_task(exec, n, MOST_ROWS);
    exec_run(exec, ceil_div(n, run->rows), task, run);
}

bool gate_step(struct exec *exec, struct gate *gate, const struct gate_source *source,
               const struct policy *policy, bool flush) {
    struct run run = {exec, gate, source, .flush = flush};
    const struct policy everything = {.kind = POLICY_ALL};
    bool pending;
    run_rows(exec, gate->n, measure_task, &run);
    gate->picked = policy_select(flush ? &everything : policy, gate->index, gate->squares,
                                 gate->waited, gate->keys, gate->n, &pending);
    if (!flush) run_rows(exec, gate->picked, accept_task, &run);
    return pending;
}

size_t gate_scratch_bytes(size_t width) {
    return max_size(format_row_bytes(FORMAT_F32, width), format_row_bytes(FORMAT_I8, width));
}
