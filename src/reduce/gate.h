// A gate (Dutson et al. 2023, section 4): passes on only those tokens that differ enough from what was
// passed on before.
//
//     e = c - u,   M = policy(|e|),   out = c[M],   u[M] = c[M]
//
// u, the reference, belongs to the gate and is overwritten in the picked rows alone: changes too small to be
// picked add up until they are. What is passed on is read from u[M], so nothing is gathered.
#ifndef VIDETTE_REDUCE_GATE_H
#define VIDETTE_REDUCE_GATE_H

#include "ops/ops.h"
#include "reduce/policy.h"

// A row that is read, and the one that is read after it (or it once more): what that takes may be fetched meanwhile.
struct gate_row {
    size_t i, next;
    bool again; // it was measured and is passed on now; so is the next one
};

// The current tokens c. `read` writes a row in the gate's format; `moves`, called once for each row of a step
// before that, says whether it may differ from the last step's (NULL: all may): else it is read only to be passed
// on. Both are called from several threads, each row by one.
struct gate_source {
    bool (*moves)(void *argument, size_t i);
    void (*read)(void *argument, struct gate_row which, void *row);
    void *argument;
};

struct gate {
    struct rows u; // (n, width); state
    size_t n, width;
    uint32_t *waited; // (n); state
    double *squares;  // (n) |e|^2, of rows that have passed as it is now; kept from step to step
    uint64_t *keys;   // (n); workspace
    uint32_t *index;  // (n) M; workspace
    size_t picked;    // |M|
};

// A step of the gate; sets index, picked and u. flush: everything is passed on and no policy runs. Returns
// whether a token above the floor was passed over. Scratch: gate_scratch_bytes.
bool gate_step(struct exec *exec, struct gate *gate, const struct gate_source *source,
               const struct policy *policy, bool flush);

size_t gate_scratch_bytes(size_t width);

#endif
