// One pool of threads for everything that computes.
//
// pool_run splits work into tasks that threads take one after the other; which thread runs a task
// never changes what the task computes, so results have the same bits at any thread count. Idle
// threads watch for work for some microseconds (a transformer block has a dozen regions in a row),
// then sleep. A thread that wakes late finds the region closed and is not waited for. Regions do
// not nest; regions of several callers run one after the other.
#ifndef VIDETTE_CORE_POOL_H
#define VIDETTE_CORE_POOL_H

#include "core/mem.h"

struct pool;

enum { POOL_MAX_THREADS = 256 };

// `thread` < pool_threads names the running thread. No two tasks of the pool run under one name at the
// same time, whoever called, so that it can choose scratch memory or a library's state.
typedef void pool_task(void *argument, size_t task, size_t thread);

// n_threads: 1..POOL_MAX_THREADS, the caller of pool_run among them.
int pool_open(struct pool **pool, struct memory *memory, size_t n_threads, vdt_error *error);
void pool_close(struct pool **pool);
size_t pool_threads(const struct pool *pool);

// Runs task(argument, i, thread) for every i < n_tasks and returns when all are done.
void pool_run(struct pool *pool, size_t n_tasks, pool_task *task, void *argument);

// Logical CPUs this process may use.
size_t pool_cpus(void);

#endif
