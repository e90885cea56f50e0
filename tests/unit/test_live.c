// Real time and lost cameras, with a clock and a camera of the test's own: nothing here waits.
#include <math.h>

#include "live.h"
#include "support.h"

/* ---- cameras ------------------------------------------------------------------------------- */

enum { MOST = 16 };

// What each attempt to open brings, and what was done between them.
struct camera {
    const int *frames; // of each attempt; -1: gives up
    size_t attempts, n, stop_after;
    double pauses[MOST];
    size_t n_pauses;
};

static int run(void *user, uint64_t *frames) {
    struct camera *camera = user;
    assert_true(camera->attempts < camera->n);
    const int came = camera->frames[camera->attempts++];
    if (came < 0) return -1;
    *frames = (uint64_t)came;
    return 0;
}

static void lost(void *user, double pause_ms) {
    struct camera *camera = user;
    assert_true(camera->n_pauses < MOST);
    camera->pauses[camera->n_pauses++] = pause_ms;
}

static bool stopped(void *user) {
    const struct camera *camera = user;
    return camera->attempts >= camera->stop_after;
}

static int run_camera(struct camera *camera) {
    const struct live live = {run, lost, stopped, camera};
    return live_run(&live);
}

static void pauses_double(void **state) {
    (void)state;
    static const int frames[] = {7, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0};
    static const double expected[] = {500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000, 500};
    struct camera camera = {.frames = frames, .n = 11, .stop_after = 11};
    assert_int_equal(run_camera(&camera), 0);
    assert_int_equal(camera.attempts, 11);
    assert_int_equal(camera.n_pauses, 10);
    for (size_t i = 0; i < 10; i++) assert_true(camera.pauses[i] == expected[i]);
}

static void missing_cameras_are_not_lost(void **state) {
    (void)state;
    static const int none[] = {0}, broken[] = {5, -1};
    struct camera missing = {.frames = none, .n = 1, .stop_after = MOST};
    assert_int_equal(run_camera(&missing), 0);
    assert_int_equal(missing.n_pauses, 0);
    struct camera failing = {.frames = broken, .n = 2, .stop_after = MOST};
    assert_int_equal(run_camera(&failing), -1);
    assert_int_equal(failing.n_pauses, 1);
}

static void a_signal_ends_it(void **state) {
    (void)state;
    static const int frames[] = {5};
    struct camera camera = {.frames = frames, .n = 1, .stop_after = 1};
    assert_int_equal(run_camera(&camera), 0);
    assert_int_equal(camera.n_pauses, 0);
}

/* ---- real time ----------------------------------------------------------------------------- */

static void expect_due(struct pace *pace, double time, double now, double due) {
    double found;
    assert_false(pace_late(pace, time, now, &found));
    assert_true(fabs(found - due) < 1e-6);
}

static void files_keep_pace(void **state) {
    (void)state;
    struct pace pace;
    double due;
    pace_start(&pace);
    expect_due(&pace, 0.0, 1000.0, 1000.0);
    expect_due(&pace, 0.1, 1020.0, 1100.0);
    expect_due(&pace, 0.2, 1290.0, 1200.0); // less than a frame behind
    assert_true(pace_late(&pace, 0.3, 1410.0, &due));
    expect_due(&pace, 0.4, 1415.0, 1400.0);
    expect_due(&pace, 0.4, 1999.0, 1400.0); // no distance to be late by
}

static void leaps_begin_anew(void **state) {
    (void)state;
    struct pace pace;
    double due;
    pace_start(&pace);
    expect_due(&pace, 100.0, 0.0, 0.0);
    expect_due(&pace, 100.1, 50.0, 100.0);
    expect_due(&pace, 20.0, 150.0, 150.0); // back
    expect_due(&pace, 20.1, 160.0, 250.0);
    assert_true(pace_late(&pace, 20.2, 500.0, &due));
    expect_due(&pace, 3600.0, 600.0, 600.0); // an hour ahead
    expect_due(&pace, 3600.1, 610.0, 700.0);
    expect_due(&pace, 3604.1, 710.0, 4700.0); // a pause of the video
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses_double),    cmocka_unit_test(missing_cameras_are_not_lost),
        cmocka_unit_test(a_signal_ends_it), cmocka_unit_test(files_keep_pace),
        cmocka_unit_test(leaps_begin_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
