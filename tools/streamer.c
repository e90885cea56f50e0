#include "streamer.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "interrupt.h"
#include "live.h"
#include "pipeline.h"

struct streamer {
    const struct settings *settings;
    const struct stream_consumer *consumer;
    vdt_context *context;
    vdt_model *model;
    vdt_session *session;
    vdt_reader *reader;
    const vdt_session_shape_info *shape;
    struct output output, state; // state: opened first, so that a long run does not end in vain
    float *logits, *features;
    // of the input that is running
    size_t input_index;
    const char *input;
    struct pace pace;
    uint64_t frame_base,
        next_frame;              // a camera's frames are counted on when it is opened again, ...
    double time_base, last_time; // ... and so are its times
    double last_ms;              // when the last frame came
    bool broken;                 // it ended with an error
    double changed_before;       // share of patches that changed in the frame before
    unsigned dropped;
    vdt_video_info video; // where the consumer asks for it
    bool failed;          // an input did
};

static int complain(const vdt_error *error) {
    fprintf(stderr, "vidette: %s\n", error->message);
    return -1;
}

/* ---- open ---------------------------------------------------------------------------------- */

// Without a wish: everything that changed is recomputed.
static vdt_stream_options stream_options(const struct settings *settings) {
    vdt_stream_options stream = settings->stream;
    stream.budget_ms = settings->budget_ms;
    if (stream.update == VDT_UPDATE_OFF)
        stream.update = settings->budget_ms > 0.0 ? VDT_UPDATE_TOP : VDT_UPDATE_THRESHOLD;
    return stream;
}

static int open_session(struct streamer *s, vdt_error *error) {
    const struct settings *settings = s->settings;
    vdt_session_options options;
    vdt_session_options_init(&options);
    options.height = options.width = settings->arch ? 0 : settings->size;
    options.pool = s->consumer->pool;
    options.layer = settings->layer;
    options.stream = stream_options(settings);
    options.stream.record = s->consumer->updated;
    const int status = vdt_session_open(&s->session, s->model, &options, error);
    if (status) return status;
    s->shape = vdt_session_shape(s->session);
    return VDT_OK;
}

// Every frame: clips of one model's worth of frames, one from each frame on.
static int open_reader(struct streamer *s, vdt_error *error) {
    vdt_reader_options options;
    vdt_reader_options_init(&options);
    options.sampling = VDT_SAMPLE_SLIDE;
    options.seconds = 0.0;
    options.rate = 1;
    const int status = vdt_reader_open(&s->reader, s->session, &s->input, 1, &options, error);
    if (status == VDT_OK) interrupt_watch(s->reader);
    return status;
}

static void close_reader(struct streamer *s) {
    interrupt_watch(NULL);
    vdt_reader_close(&s->reader);
}

/* ---- snapshots ----------------------------------------------------------------------------- */

static int complain_file(const char *path, const char *what) {
    fprintf(stderr, "vidette: %s: %s: %s\n", path, what, strerror(errno));
    return -1;
}

// The whole file, if it is as long as a snapshot; *found says whether there is one at all.
static int read_snapshot(void *bytes, size_t n, const char *path, bool *found) {
    FILE *file = fopen(path, "rb");
    *found = file != NULL;
    if (!file) return errno == ENOENT ? 0 : complain_file(path, "cannot be read");
    const bool whole = fread(bytes, 1, n, file) == n && fgetc(file) == EOF;
    fclose(file);
    if (whole) return 0;
    fprintf(stderr, "vidette: %s: expected a snapshot of %zu bytes, found another size\n", path, n);
    return -1;
}

static int load_state(struct streamer *s) {
    const char *path = s->settings->state;
    if (!path) return 0;
    const size_t n = vdt_session_snapshot_bytes(s->session);
    void *bytes = malloc(n);
    vdt_error error = {0};
    bool found = false;
    int status = bytes ? read_snapshot(bytes, n, path, &found) : -1;
    if (!status && found && vdt_session_load(s->session, bytes, n, &error)) {
        fprintf(stderr, "vidette: %s: %s\n", path, error.message);
        status = -1;
    }
    free(bytes);
    return status;
}

static int write_snapshot(struct streamer *s) {
    const size_t n = vdt_session_snapshot_bytes(s->session);
    void *bytes = malloc(n);
    vdt_error error = {0};
    int status = bytes && !vdt_session_save(s->session, bytes, &error) ? 0 : -1;
    if (!status && fwrite(bytes, 1, n, s->state.file) != n) status = output_complain(&s->state);
    free(bytes);
    return status;
}

static int save_state(struct streamer *s, bool keep) {
    if (!s->state.path) return 0;
    const int status = keep && s->state.file ? write_snapshot(s) : 0;
    return output_close(&s->state, keep && !status) || status ? -1 : 0;
}

/* ---- real time ----------------------------------------------------------------------------- */

static bool is_live(const char *input) {
    return strncmp(input, "/dev/video", 10) == 0 || strncmp(input, "rtsp://", 7) == 0 ||
           strncmp(input, "rtsps://", 8) == 0;
}

// Waits in short naps, so that a signal ends it.
static void wait_until(double ms) {
    for (double left; (left = ms - progress_now_ms()) > 0.0 && !interrupt_signal();) {
        const double nap = fmin(left, 50.0);
        nanosleep(&(struct timespec){0, (long)(nap * 1e6)}, NULL);
    }
}

// A camera's newest frame; of a file, the frame whose time it is: too early waits, too late is left out.
// Returns whether this one is to be left out.
static bool is_late(struct streamer *s, const vdt_item *item) {
    if (!s->settings->realtime) return false;
    if (is_live(s->input)) return vdt_reader_ready(s->reader);
    double due;
    if (pace_late(&s->pace, item->times[0], progress_now_ms(), &due)) return true;
    wait_until(due);
    return false;
}

/* ---- frames -------------------------------------------------------------------------------- */

static const double CUT_SHARE =
    0.6; // of the patches, after frames in which half as many had changed

static bool is_cut(struct streamer *s, const vdt_stream_info *info) {
    const double share = (double)info->changed / info->patches;
    const bool cut = !info->first && share > CUT_SHARE && s->changed_before < CUT_SHARE / 2.0;
    s->changed_before = share;
    return cut;
}

static int run_frame(struct streamer *s, const vdt_item *item, vdt_error *error) {
    vdt_stats stats = {0};
    vdt_updated updated;
    const vdt_output output = {.logits = s->logits, .features = s->features};
    if (vdt_session_run(s->session, &item->clip, 1, &output, &stats, error)) return -1;
    if (s->consumer->updated && vdt_session_updated(&updated, s->session, error)) return -1;
    struct stream_result result = {.input = s->input_index,
                                   .item = item,
                                   .frame = s->frame_base + item->frames[0],
                                   .time = s->time_base + item->times[0],
                                   .info = vdt_session_stream(s->session),
                                   .stats = &stats,
                                   .updated = s->consumer->updated ? &updated : NULL,
                                   .video = s->consumer->updated ? &s->video : NULL,
                                   .logits = s->logits,
                                   .features = s->features,
                                   .step_ms = stats.decide_ms + stats.embed_ms + stats.blocks_ms +
                                              stats.head_ms,
                                   .dropped = s->dropped};
    result.cut = is_cut(s, result.info);
    s->dropped = 0;
    s->last_time = result.time;
    return s->consumer->frame(s->consumer->user, &result, &s->output);
}

// All frames of a reader. VDT_END at its end, VDT_ERROR_IO where the input failed, -1 to give up.
static int run_reader(struct streamer *s, vdt_error *error) {
    for (;;) {
        vdt_item item;
        const vdt_status status = vdt_reader_next(s->reader, &item, error);
        if (status == VDT_END) return VDT_END;
        if (status) return -1;
        int failed = 0;
        if (item.error.status) {
            fprintf(stderr, "vidette: %s\n", item.error.message);
            failed = VDT_ERROR_IO;
        } else if (item.index % s->shape->frames != 0) {
            // Models of snippets take every frame once.
        } else if (is_late(s, &item)) {
            s->dropped++;
        } else {
            failed = run_frame(s, &item, error) ? -1 : 0;
        }
        if (!item.error.status) {
            s->next_frame = s->frame_base + item.frames[s->shape->frames - 1] + 1;
            s->last_ms = progress_now_ms();
        }
        vdt_reader_give(s->reader, &item);
        if (failed) return failed;
    }
}

// Cameras are opened but once.
static void probe(struct streamer *s) {
    s->video = (vdt_video_info){0};
    if (s->consumer->updated && !is_live(s->input))
        (void)vdt_video_probe(&s->video, s->context, s->input, NULL);
}

// Opens the input and runs all of it. What the stream knows of the scene is kept; frames and times go on.
static int run_once(void *user, uint64_t *frames) {
    struct streamer *s = user;
    vdt_error error = {0};
    s->frame_base = s->next_frame;
    s->time_base = s->frame_base > 0 ? s->last_time + (progress_now_ms() - s->last_ms) * 1e-3 : 0.0;
    int status = open_reader(s, &error);
    if (!status) status = run_reader(s, &error);
    close_reader(s);
    if (status == -1 || (status < 0 && error.status)) {
        if (error.status && error.status != VDT_ERROR_CANCELLED) complain(&error);
        return -1;
    }
    s->broken = status != VDT_END;
    *frames = s->next_frame - s->frame_base;
    return 0;
}

static void wait_for_camera(void *user, double pause_ms) {
    const struct streamer *s = user;
    fprintf(stderr, "vidette: %s: lost, trying again in %.1f s\n", s->input, pause_ms * 1e-3);
    wait_until(progress_now_ms() + pause_ms);
}

static bool is_stopped(void *user) {
    const struct streamer *s = user;
    return !is_live(s->input) || interrupt_signal();
}

static int run_input(struct streamer *s, const char *input) {
    const struct live live = {run_once, wait_for_camera, is_stopped, s};
    s->input = input;
    probe(s);
    s->next_frame = 0;
    s->changed_before = 0.0;
    pace_start(&s->pace);
    const int status = live_run(&live);
    s->failed = s->failed || s->broken;
    return status;
}

static int open_all(struct streamer *s) {
    vdt_error error = {0};
    const struct settings *settings = s->settings;
    if (open_model(&s->context, &s->model, settings, NULL, NULL)) return -1;
    if (open_session(s, &error)) return complain(&error);
    s->logits = s->consumer->logits && s->shape->logits > 0
                    ? calloc(s->shape->logits, sizeof *s->logits)
                    : NULL;
    s->features = s->shape->features > 0 ? calloc(s->shape->features, sizeof *s->features) : NULL;
    if ((s->consumer->logits && s->shape->logits > 0 && !s->logits) ||
        (s->shape->features > 0 && !s->features)) {
        fprintf(stderr, "vidette: out of memory\n");
        return -1;
    }
    if (load_state(s)) return -1;
    if (settings->state && output_open(&s->state, settings->state, false, 0, 1)) return -1;
    if (output_open(&s->output, settings->output, false, 0, settings->n_inputs)) return -1;
    return s->consumer->begin(s->consumer->user, s->model, s->session, &s->output);
}

static int run_all(struct streamer *s) {
    const struct settings *settings = s->settings;
    for (size_t i = 0; i < settings->n_inputs; i++) {
        if (i > 0 && vdt_session_reset(s->session, NULL)) return -1;
        s->input_index = i;
        const int status = run_input(s, settings->inputs[i]);
        if (status) return status;
    }
    return 0;
}

int streamer_run(const struct settings *settings, const char *command,
                 const struct stream_consumer *consumer) {
    if (settings->n_inputs == 0) {
        fprintf(stderr, "vidette: %s: expected an INPUT (vidette %s --help)\n", command, command);
        return EXIT_USAGE;
    }
    if (interrupt_install()) {
        fprintf(stderr, "vidette: no thread for signals\n");
        return EXIT_FAILED;
    }
    struct streamer s = {.settings = settings, .consumer = consumer};
    int status = open_all(&s);
    if (!status) status = run_all(&s);
    if (save_state(&s, !status || interrupt_signal())) status = -1;
    // What came before a signal is a whole result, of fewer frames.
    bool whole = status == 0 || (interrupt_signal() && s.session);
    if (whole && s.output.file && consumer->end && consumer->end(consumer->user, &s.output)) {
        status = -1;
        whole = false;
    }
    if (output_close(&s.output, whole)) status = -1;
    vdt_session_close(&s.session);
    vdt_model_close(&s.model);
    vdt_context_close(&s.context);
    free(s.logits);
    free(s.features);
    if (interrupt_signal()) return 128 + interrupt_signal();
    return status || s.failed ? EXIT_FAILED : EXIT_DONE;
}
