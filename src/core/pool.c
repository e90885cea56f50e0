#include "core/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

// `state` holds the region's number and how many workers are inside it:
//
//     | number, odd while open | joined workers |
//
// A worker joins an open region that it has not seen by adding 1, works, and subtracts 1. The
// caller closes the region, once its tasks are taken, by making the number even, and waits until
// nobody is left inside.
enum { JOINED_BITS = 16, JOINED_MASK = (1 << JOINED_BITS) - 1 };

struct worker {
    struct pool *pool;
    size_t thread;
    pthread_t handle;
};

struct pool {
    struct memory *memory;
    size_t n_threads, n_started; // n_started: workers that run, without the caller
    struct worker *workers;

    pthread_mutex_t region; // held by the one caller whose region is open
    _Atomic uint64_t state;
    atomic_size_t next; // first task not taken yet
    size_t n_tasks;
    pool_task *task;
    void *argument;

    pthread_mutex_t sleep; // guards the two below
    pthread_cond_t wake;
    atomic_size_t sleepers;
    atomic_bool stop;
};

// About 20 microseconds: longer than the gap between two regions of a block, shorter than anyone
// notices.
enum { SPINS = 2000 };

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static bool is_open(uint64_t state) {
    return state >> JOINED_BITS & 1;
}

static void take_tasks(struct pool *pool, size_t thread) {
    for (;;) {
        const size_t task = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (task >= pool->n_tasks) return;
        pool->task(pool->argument, task, thread);
    }
}

// Waits until a region that is not number `seen` is open, or the pool stops (then returns false).
static bool wait_for_region(struct pool *pool, uint64_t seen, uint64_t *state) {
    for (size_t spin = 0;; spin++) {
        *state = atomic_load_explicit(&pool->state, memory_order_acquire);
        if (is_open(*state) && *state >> JOINED_BITS != seen) return true;
        if (atomic_load_explicit(&pool->stop, memory_order_relaxed)) return false;
        if (spin < SPINS) {
            relax();
            continue;
        }
        pthread_mutex_lock(&pool->sleep);
        atomic_fetch_add(&pool->sleepers, 1);
        // The caller stores the state, then reads the sleepers; we add ourselves, then read the
        // state: one sees the other.
        *state = atomic_load(&pool->state);
        if (!(is_open(*state) && *state >> JOINED_BITS != seen) && !atomic_load(&pool->stop)) {
            pthread_cond_wait(&pool->wake, &pool->sleep);
        }
        atomic_fetch_sub(&pool->sleepers, 1);
        pthread_mutex_unlock(&pool->sleep);
        spin = 0;
    }
}

static void *work(void *argument) {
    struct worker *worker = argument;
    struct pool *pool = worker->pool;
    uint64_t seen = 0, state;
    while (wait_for_region(pool, seen, &state)) {
        if (!atomic_compare_exchange_strong(&pool->state, &state, state + 1))
            continue; // somebody else joined or closed
        seen = state >> JOINED_BITS;
        take_tasks(pool, worker->thread);
        atomic_fetch_sub_explicit(&pool->state, 1, memory_order_release);
    }
    return NULL;
}

static void open_region(struct pool *pool, size_t n_tasks, pool_task *task, void *argument) {
    pool->n_tasks = n_tasks;
    pool->task = task;
    pool->argument = argument;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    const uint64_t number =
        (atomic_load_explicit(&pool->state, memory_order_relaxed) >> JOINED_BITS) + 1;
    atomic_store(&pool->state, number << JOINED_BITS);
    if (atomic_load(&pool->sleepers) == 0) return;
    pthread_mutex_lock(&pool->sleep);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->sleep);
}

// Closing adds 1 to the number, so that late workers find it even, then the last one inside leaves.
static void close_region(struct pool *pool) {
    atomic_fetch_add(&pool->state, (uint64_t)1 << JOINED_BITS);
    for (size_t spin = 0; atomic_load_explicit(&pool->state, memory_order_acquire) & JOINED_MASK;
         spin++) {
        if (spin < SPINS) {
            relax();
        } else {
            sched_yield(); // a worker was descheduled in its last task
        }
    }
}

void pool_run(struct pool *pool, size_t n_tasks, pool_task *task, void *argument) {
    pthread_mutex_lock(
        &pool->region); // also for a task that runs here alone: thread 0 is one thread
    if (pool->n_started == 0 || n_tasks <= 1) {
        for (size_t i = 0; i < n_tasks; i++) task(argument, i, 0);
    } else {
        open_region(pool, n_tasks, task, argument);
        take_tasks(pool, 0);
        close_region(pool);
    }
    pthread_mutex_unlock(&pool->region);
}

int pool_open(struct pool **out, struct memory *memory, size_t n_threads, vdt_error *error) {
    struct pool *pool = mem_alloc(memory, 1, sizeof *pool, "thread pool", error);
    if (!pool) return VDT_ERROR_MEMORY;
    pool->memory = memory;
    pool->n_threads = n_threads;
    pthread_mutex_init(&pool->region, NULL);
    pthread_mutex_init(&pool->sleep, NULL);
    pthread_cond_init(&pool->wake, NULL);
    int status = VDT_OK;
    pool->workers = mem_alloc(memory, n_threads - 1, sizeof *pool->workers, "thread pool", error);
    if (!pool->workers) status = VDT_ERROR_MEMORY;
    while (status == VDT_OK && pool->n_started + 1 < n_threads) {
        struct worker *worker = &pool->workers[pool->n_started];
        *worker = (struct worker){.pool = pool, .thread = pool->n_started + 1};
        const int failed = pthread_create(&worker->handle, NULL, work, worker);
        if (failed) {
            status = status_fail(error, VDT_ERROR_LIBRARY, "thread %zu of %zu: %s", worker->thread,
                                 n_threads, strerror(failed));
        } else {
            pool->n_started++;
        }
    }
    if (status == VDT_OK) {
        *out = pool;
    } else {
        pool_close(&pool);
    }
    return status;
}

void pool_close(struct pool **handle) {
    struct pool *pool = *handle;
    if (!pool) return;
    pthread_mutex_lock(&pool->sleep);
    atomic_store(&pool->stop, true);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->sleep);
    for (size_t i = 0; i < pool->n_started; i++) pthread_join(pool->workers[i].handle, NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->sleep);
    pthread_mutex_destroy(&pool->region);
    mem_free(pool->memory, pool->workers);
    mem_free(pool->memory, pool);
    *handle = NULL;
}

size_t pool_threads(const struct pool *pool) {
    return pool->n_threads;
}

size_t pool_cpus(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (size_t)CPU_COUNT(&set);
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (size_t)n : 1;
}
