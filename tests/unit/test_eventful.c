// Policies, gates, the pixel test and budgets, each against brute force or double precision.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec_bench.h"
#include "kernels/cpu.h"
#include "reduce/budget.h"
#include "reduce/gate.h"
#include "reduce/still.h"

/* ---- policies ------------------------------------------------------------------------------ */

// Whether token a goes before token b.
static bool goes_before(const struct policy *policy, const double *squares, const uint32_t *waited,
                        size_t a, size_t b) {
    const bool late_a = policy->max_wait > 0 && waited[a] >= policy->max_wait,
               late_b = policy->max_wait > 0 && waited[b] >= policy->max_wait;
    if (late_a != late_b) return late_a;
    if (late_a && waited[a] != waited[b]) return waited[a] > waited[b];
    if (!late_a) {
        const double x = isnan(squares[a]) ? INFINITY : squares[a],
                     y = isnan(squares[b]) ? INFINITY : squares[b];
        if (isnan(squares[a]) != isnan(squares[b])) return isnan(squares[a]);
        if (x != y) return x > y;
    }
    return a < b;
}

// The contract of policy_select, by counting who goes before whom.
static size_t select_slowly(const struct policy *policy, uint32_t *index, const double *squares,
                            const uint32_t *waited, size_t n) {
    double least = policy->floor;
    if (policy->kind == POLICY_THRESHOLD) least = fmax(least, policy->threshold);
    size_t most = n, picked = 0;
    if (policy->kind == POLICY_TOP) most = policy->r;
    for (size_t i = 0; i < n; i++) {
        size_t before = 0;
        for (size_t j = 0; j < n; j++) {
            const bool counts = policy->kind == POLICY_ALL || !(squares[j] <= least * least);
            before += counts && j != i && goes_before(policy, squares, waited, j, i);
        }
        const bool counts = policy->kind == POLICY_ALL || !(squares[i] <= least * least);
        if (policy->kind == POLICY_ALL || (counts && before < most)) index[picked++] = (uint32_t)i;
    }
    return picked;
}

static void policies_pick_what_they_say(void **state) {
    (void)state;
    enum { N = 41 };
    struct random random = {3};
    for (size_t trial = 0; trial < 4000; trial++) {
        const struct policy policy = {.kind = (enum policy_kind)random_size(&random, 0, 2),
                                      .r = random_size(&random, 0, N + 5),
                                      .threshold = (double)random_size(&random, 0, 3),
                                      .floor = (double)random_size(&random, 0, 2),
                                      .max_wait = (uint32_t)random_size(&random, 0, 6)};
        double squares[N];
        uint64_t keys[N];
        uint32_t waited[N], before[N], found[N], expected[N];
        for (size_t i = 0; i < N; i++) { // many ties
            const size_t level = random_size(&random, 0, 12);
            squares[i] = level == 12   ? (double)NAN
                         : level == 11 ? 1e-300
                                       : (double)(level * level) / 4.0;
            waited[i] = before[i] = (uint32_t)random_size(&random, 0, 8);
        }
        bool pending;
        const size_t n = policy_select(&policy, found, squares, waited, keys, N, &pending);
        const size_t truth = select_slowly(&policy, expected, squares, before, N);
        assert_int_equal(n, truth);
        assert_memory_equal(found, expected, n * sizeof *found);
        double least = policy.floor;
        if (policy.kind == POLICY_THRESHOLD) least = fmax(least, policy.threshold);
        bool any = false;
        for (size_t i = 0, at = 0; i < N; i++) {
            const bool taken = at < n && found[at] == i;
            at += taken;
            const bool passed_over = !taken && !(squares[i] <= least * least);
            any = any || passed_over;
            assert_int_equal(waited[i], passed_over ? before[i] + 1 : 0);
        }
        assert_int_equal(pending, any);
    }
}

// One large error that keeps coming back must not starve the others.
static void nobody_waits_for_ever(void **state) {
    (void)state;
    enum { N = 20, WAIT = 5 };
    const struct policy policy = {.kind = POLICY_TOP, .r = 1, .max_wait = WAIT};
    double squares[N];
    uint64_t keys[N];
    uint32_t waited[N] = {0}, index[N], idle[N] = {0};
    for (size_t i = 0; i < N; i++) squares[i] = i == 7 ? 100.0 : 1.0;
    for (size_t step = 0; step < 500; step++) {
        bool pending;
        assert_int_equal(policy_select(&policy, index, squares, waited, keys, N, &pending), 1);
        for (size_t i = 0; i < N; i++) {
            idle[i] = i == index[0] ? 0 : idle[i] + 1;
            assert_true(idle[i] <= WAIT + N);
        }
    }
}

/* ---- gates --------------------------------------------------------------------------------- */

enum { TOKENS = 30, WIDTH = 37 };

struct tokens {
    float c[TOKENS][WIDTH], u[TOKENS][WIDTH];
    double squares[TOKENS];
    uint64_t keys[TOKENS];
    uint32_t waited[TOKENS], index[TOKENS];
};

static void read_token(void *argument, struct gate_row which, void *row) {
    const struct tokens *tokens = argument;
    memcpy(row, tokens->c[which.i], sizeof tokens->c[which.i]);
}

static struct gate gate_of(struct tokens *tokens) {
    return (struct gate){.u = {tokens->u, sizeof tokens->u[0], FORMAT_F32},
                         .n = TOKENS,
                         .width = WIDTH,
                         .waited = tokens->waited,
                         .squares = tokens->squares,
                         .keys = tokens->keys,
                         .index = tokens->index};
}

// Threshold 0 picks exactly the rows that differ; the reference keeps its rows when the input goes on.
static void gates_own_their_reference(void **state) {
    (void)state;
    for (int level = VDT_CPU_C; level <= (int)cpu_detect(); level++) {
        struct exec_bench bench;
        struct tokens *tokens = calloc(1, sizeof *tokens);
        struct random random = {5};
        const struct policy policy = {.kind = POLICY_THRESHOLD};
        open_exec(&bench, (vdt_cpu)level, 2, gate_scratch_bytes(WIDTH));
        struct gate gate = gate_of(tokens);
        const struct gate_source source = {NULL, read_token, tokens};
        random_floats(&random, tokens->c[0], TOKENS * WIDTH, -1.0f, 1.0f);
        gate_step(&bench.exec, &gate, &source, &policy, true);
        assert_int_equal(gate.picked, TOKENS);
        assert_memory_equal(tokens->u, tokens->c, sizeof tokens->c);
        tokens->c[3][36] = nextafterf(tokens->c[3][36], 2.0f); // one unit of the last place
        tokens->c[17][0] += 1.0f;
        tokens->c[29][20] = 1e-40f;
        tokens->u[29][20] = 2e-40f; // subnormal numbers differ too
        float before[WIDTH];
        memcpy(before, tokens->u[4], sizeof before);
        gate_step(&bench.exec, &gate, &source, &policy, false);
        assert_int_equal(gate.picked, 3);
        assert_int_equal(gate.index[0], 3);
        assert_int_equal(gate.index[1], 17);
        assert_int_equal(gate.index[2], 29);
        assert_memory_equal(tokens->u, tokens->c, sizeof tokens->c);
        for (size_t j = 0; j < WIDTH; j++) tokens->c[4][j] = 9.0f;
        assert_memory_equal(tokens->u[4], before, sizeof before);
        close_exec(&bench);
        free(tokens);
    }
}

static bool stays(void *argument, size_t i) {
    (void)argument;
    (void)i;
    return false;
}

// A token that is not a number counts for more than any other, also as a reference: it is recomputed as long as
// it is there, measured again or not, and once more when it has gone.
static void not_a_number_is_served_first(void **state) {
    (void)state;
    for (int level = VDT_CPU_C; level <= (int)cpu_detect(); level++) {
        static const enum policy_kind kinds[] = {POLICY_TOP, POLICY_THRESHOLD};
        for (size_t k = 0; k < 2; k++) {
            struct exec_bench bench;
            struct tokens *tokens = calloc(1, sizeof *tokens);
            const struct policy policy = {.kind = kinds[k], .r = 1, .threshold = 3.0};
            open_exec(&bench, (vdt_cpu)level, 2, gate_scratch_bytes(WIDTH));
            struct gate gate = gate_of(tokens);
            const struct gate_source source = {NULL, read_token, tokens},
                                     still = {stays, read_token, tokens};
            gate_step(&bench.exec, &gate, &source, &policy, true);
            tokens->c[7][WIDTH - 1] = NAN;
            for (int step = 0; step < 5; step++) {
                tokens->c[9][0] = 2.0f; // waits, or never counts
                if (step == 3) tokens->c[7][WIDTH - 1] = 0.5f;
                gate_step(&bench.exec, &gate, step == 2 ? &still : &source, &policy, false);
                if (step == 4) break;
                assert_int_equal(gate.picked, 1);
                assert_int_equal(gate.index[0], 7);
            }
            assert_true(tokens->u[7][WIDTH - 1] == 0.5f);
            assert_true(gate.picked == (kinds[k] == POLICY_TOP));
            assert_true(tokens->u[9][0] == (kinds[k] == POLICY_TOP ? 2.0f : 0.0f));
            close_exec(&bench);
            free(tokens);
        }
    }
}

// A slow drift below the threshold of a step adds up. The control, a reference overwritten with all of c,
// would never see it.
static void small_changes_add_up(void **state) {
    (void)state;
    struct exec_bench bench;
    struct tokens *tokens = calloc(1, sizeof *tokens);
    const struct policy policy = {.kind = POLICY_THRESHOLD, .threshold = 1.0};
    open_exec(&bench, cpu_detect(), 1, gate_scratch_bytes(WIDTH));
    struct gate gate = gate_of(tokens);
    const struct gate_source source = {NULL, read_token, tokens};
    gate_step(&bench.exec, &gate, &source, &policy, true);
    size_t picked = 0;
    for (int step = 0; step < 40; step++) {
        tokens->c[11][5] += 0.1f;
        gate_step(&bench.exec, &gate, &source, &policy, false);
        picked += gate.picked;
        assert_true(fabs((double)(tokens->c[11][5] - tokens->u[11][5])) <= 1.0);
    }
    assert_int_equal(picked, 3);
    close_exec(&bench);
    free(tokens);
}

/* ---- the pixel test ------------------------------------------------------------------------ */

enum { SIDE = 48, PATCH = 16, PATCHES = 9 };

static void still_scenes_are_still(void **state) {
    (void)state;
    struct exec_bench bench;
    struct random random = {4};
    struct still_state memory;
    uint8_t *kept = make_bytes(SIDE * SIDE * 3), *pixels = make_bytes(SIDE * SIDE * 3);
    uint32_t index[PATCHES];
    double scores[PATCHES];
    open_exec(&bench, cpu_detect(), 2, 64);
    struct still still = {.scale = {255.0, {0.25, 0.5, 1.0}},
                          .patch = PATCH,
                          .tubelet = 1,
                          .grid = {1, 3, 3},
                          .pixels = kept,
                          .state = &memory};
    const vdt_clip clip = {pixels, SIDE * 3, SIDE * SIDE * 3};
    random_bytes(&random, pixels, SIDE * SIDE * 3);
    for (uint32_t i = 0; i < PATCHES; i++) index[i] = i;
    still_start(&memory, 0.0, false);
    still_accept(&bench.exec, &still, &clip, index, PATCHES);
    assert_memory_equal(kept, pixels, SIDE * SIDE * 3);
    assert_int_equal(still_test(&bench.exec, &still, &clip, index, scores), 0);
    pixels[(20 * SIDE + 40) * 3 + 1] ^= 1; // row 1, column 2: one level of green
    assert_int_equal(still_test(&bench.exec, &still, &clip, index, scores), 1);
    assert_int_equal(index[0], 5);
    // S = 1 / 0.5 = 2 stands against tau 255 3 p^2.
    memory.tau = 2.0001 / (255.0 * 3 * PATCH * PATCH);
    assert_int_equal(still_test(&bench.exec, &still, &clip, index, scores), 0);
    memory.tau = 1.9999 / (255.0 * 3 * PATCH * PATCH);
    assert_int_equal(still_test(&bench.exec, &still, &clip, index, scores), 1);
    free(kept);
    free(pixels);
    close_exec(&bench);
}

// Noise of a sensor over a fixed picture, with something that moves in a third of it.
static void noise_is_learnt(void **state) {
    (void)state;
    struct exec_bench bench;
    struct random random = {9};
    struct still_state memory;
    enum { BYTES = SIDE * SIDE * 3 };
    uint8_t *kept = make_bytes(BYTES), *pixels = make_bytes(BYTES), *scene = make_bytes(BYTES);
    uint32_t index[PATCHES];
    double scores[PATCHES];
    open_exec(&bench, cpu_detect(), 1, 64);
    struct still still = {.scale = {255.0, {0.5, 0.5, 0.5}},
                          .patch = PATCH,
                          .tubelet = 1,
                          .grid = {1, 3, 3},
                          .pixels = kept,
                          .state = &memory};
    const vdt_clip clip = {pixels, SIDE * 3, BYTES};
    for (size_t i = 0; i < BYTES; i++) scene[i] = (uint8_t)random_size(&random, 20, 230);
    still_start(&memory, 0.0, true);
    memset(kept, 0, BYTES);
    for (int frame = 0; frame < STILL_LEARNING + 10; frame++) {
        for (size_t i = 0; i < BYTES; i++)
            pixels[i] = (uint8_t)(scene[i] + random_size(&random, 0, 6));
        for (size_t i = 0; i < (size_t)PATCH * SIDE * 3; i++) // the upper row of patches moves
            pixels[i] = (uint8_t)random_size(&random, 0, 255);
        const size_t n = still_test(&bench.exec, &still, &clip, index, scores);
        if (memory.learning == 0 && frame > STILL_LEARNING) {
            assert_int_equal(n, 3);
            assert_int_equal(index[2], 2);
        }
        still_accept(&bench.exec, &still, &clip, index, n);
    }
    assert_true(memory.tau > 0.0 && memory.tau < STILL_LARGEST);
    free(kept);
    free(pixels);
    free(scene);
    close_exec(&bench);
}

/* ---- budget -------------------------------------------------------------------------------- */

// Simulated costs: affine with noise of 2 %, one step in fifty four times as long because another process ran,
// then a machine that becomes half as fast.
struct simulation {
    struct budget budget;
    struct random random;
    size_t steps, counted, over; // over: more than 5 % above the deadline
    double used;                 // sum of ms over the deadline
};

static const double SIMULATED_A = 15.0, SIMULATED_B = 0.75, DEADLINE = 40.0;

static void simulate(struct simulation *simulation, size_t steps, double slower, bool accidents) {
    struct random *random = &simulation->random;
    for (size_t i = 0; i < steps; i++) {
        const size_t r = budget_choose(&simulation->budget, 0.0, 1.0);
        double noise = 1.0;
        for (int k = 0; k < 4; k++) noise += 0.0175 * (double)random_float(random, -1.0f, 1.0f);
        const double ms = slower * (SIMULATED_A + SIMULATED_B * (double)r) * noise;
        const bool accident = accidents && ++simulation->steps % 50 == 0;
        assert_true(r >= 1 && r <= 200);
        budget_learn(&simulation->budget, (double)r, accident ? 4.0 * ms : ms);
        if (accident) continue;
        simulation->counted++;
        simulation->over += ms > 1.05 * DEADLINE;
        simulation->used += ms / DEADLINE;
    }
}

static void budgets_are_met(void **state) {
    (void)state;
    struct simulation simulation = {.random = {8}};
    budget_start(&simulation.budget, DEADLINE, 200, 12.0, SIMULATED_A + SIMULATED_B * 12.0, 50.0,
                 SIMULATED_A + SIMULATED_B * 50.0);
    simulate(&simulation, 2000, 1.0, true);
    assert_true(simulation.over * 100 <= simulation.counted);
    assert_true(simulation.used > 0.95 * (double)simulation.counted);
    simulate(&simulation, 6, 2.0, false); // the new speed is known after these
    simulation.over = 0;
    simulate(&simulation, 100, 2.0, false);
    assert_int_equal(simulation.over, 0);
    simulation.counted = simulation.over = 0;
    simulation.used = 0.0;
    simulate(&simulation, 500, 2.0, true);
    assert_true(simulation.over * 100 <= simulation.counted);
    assert_true(simulation.used > 0.93 * (double)simulation.counted); // r is whole: 1.5 ms a token
}

// Twelve blocks, each of which chooses anew. Somewhere in the first half of every other step another process
// takes 8 ms.
static void late_steps_catch_up(void **state) {
    (void)state;
    enum { BLOCKS = 12, STEPS = 400 };
    struct budget budget;
    struct random random = {9};
    double used = 0.0;
    budget_start(&budget, DEADLINE, 200, 12.0, SIMULATED_A + SIMULATED_B * 12.0, 50.0,
                 SIMULATED_A + SIMULATED_B * 50.0);
    for (int step = 0; step < STEPS; step++) {
        double ms = 0.0, sum = 0.0;
        for (int i = 0; i < BLOCKS; i++) {
            const size_t r = budget_choose(&budget, ms, (double)(BLOCKS - i) / BLOCKS);
            const double noise = 1.0 + 0.1 * (double)random_float(&random, -1.0f, 1.0f);
            ms += (SIMULATED_A + SIMULATED_B * (double)r) / BLOCKS * noise;
            ms += step % 2 == 1 && i == step / 2 % 6 ? 8.0 : 0.0;
            sum += (double)r;
        }
        budget_learn(&budget, sum / BLOCKS, ms);
        used += ms / DEADLINE;
        if (step >= 20) assert_true(ms < 1.02 * DEADLINE);
    }
    assert_true(used > 0.97 * STEPS);
}

// A cost that no r can meet, and one that any r meets.
static void budgets_have_ends(void **state) {
    (void)state;
    struct budget budget;
    budget_start(&budget, 10.0, 100, 6.0, 50.0, 25.0, 60.0);
    for (int i = 0; i < 50; i++) budget_learn(&budget, 1.0, 48.0);
    assert_int_equal(budget_choose(&budget, 0.0, 1.0), 1);
    budget_start(&budget, 1000.0, 100, 6.0, 50.0, 25.0, 60.0);
    for (int i = 0; i < 50; i++) budget_learn(&budget, 100.0, 90.0);
    assert_int_equal(budget_choose(&budget, 0.0, 1.0), 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_pick_what_they_say),
        cmocka_unit_test(nobody_waits_for_ever),
        cmocka_unit_test(gates_own_their_reference),
        cmocka_unit_test(small_changes_add_up),
        cmocka_unit_test(not_a_number_is_served_first),
        cmocka_unit_test(still_scenes_are_still),
        cmocka_unit_test(noise_is_learnt),
        cmocka_unit_test(budgets_are_met),
        cmocka_unit_test(late_steps_catch_up),
        cmocka_unit_test(budgets_have_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
