// The reader: threads that decode, sample and preprocess ahead of the session.
//
//     inputs -> decoder -> sampled frames -> resize, crop -> slots -> vdt_reader_next
//
// A thread (a lane) takes one input after the other. Slots are the clips that exist at a time; a lane waits
// when there is none for it, so memory does not grow with the length of a video. Items leave in the order
// of the inputs: those of the front input, the first that is not delivered yet, until it is complete.
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "core/checked.h"
#include "core/clock.h"
#include "video/preprocess.h"
#include "video/reader.h"
#include "video/sample.h"

struct clip_memory {
    uint8_t *pixels;  // (frames, height, width, 3)
    uint64_t *frames; // (frames)
    double *times;    // (frames)
};

enum slot_state { SLOT_FREE, SLOT_FILLING, SLOT_QUEUED, SLOT_HELD };

struct clip_slot {
    struct clip_memory memory;
    vdt_item item;
    enum slot_state state;
    size_t input;           // that it is filled from
    struct clip_slot *next; // in the queue
};

// One thread of the reader.
struct lane {
    struct vdt_reader *reader;
    struct preprocess preprocess;
    pthread_t thread;
    size_t input; // being read; NO_INPUT between two
};

enum { MAX_LANES = 64 };
#define NO_INPUT SIZE_MAX

struct vdt_reader {
    struct memory *memory;
    vdt_reader_options options;
    size_t frames, height, width; // of a clip
    size_t frame_bytes;
    char **inputs;
    size_t n_inputs;
    struct lane *lanes; // (n_lanes)
    size_t n_lanes, n_started;

    atomic_bool stop;
    pthread_mutex_t lock; // guards the rest
    pthread_cond_t changed;
    struct clip_slot *slots; // (n_slots)
    size_t n_slots, n_held;
    size_t most_behind;             // slots that inputs behind the front may have
    struct clip_slot *first, *last; // queue of items, in the order they were made
    size_t next_input, front;       // first input that no lane has taken; first not delivered
};

// One input being read, the lane's own.
struct reading {
    struct vdt_reader *reader;
    struct lane *lane;
    struct decoder *decoder;
    size_t input;
    uint32_t n_clips; // made so far
    double decode_ms, preprocess_ms;
    vdt_error *error;
};

/* ---- slots --------------------------------------------------------------------------------- */

// A free slot for the input. Inputs behind the front leave enough slots to the front one, whatever the
// caller holds: otherwise everybody could wait for everybody.
static struct clip_slot *find_free(struct vdt_reader *reader, size_t input) {
    struct clip_slot *found = NULL;
    size_t behind = 0;
    for (size_t i = 0; i < reader->n_slots; i++) {
        struct clip_slot *slot = &reader->slots[i];
        if (slot->state == SLOT_FREE) found = slot;
        const bool busy = slot->state == SLOT_FILLING || slot->state == SLOT_QUEUED;
        behind += busy && slot->input != reader->front;
    }
    return input == reader->front || behind < reader->most_behind ? found : NULL;
}

// Waits for a slot; NULL when the reader is being closed.
static struct clip_slot *take_slot(const struct reading *reading) {
    struct vdt_reader *reader = reading->reader;
    pthread_mutex_lock(&reader->lock);
    struct clip_slot *slot = NULL;
    while (!atomic_load(&reader->stop) && !(slot = find_free(reader, reading->input))) {
        pthread_cond_wait(&reader->changed, &reader->lock);
    }
    if (slot) {
        slot->state = SLOT_FILLING;
        slot->input = reading->input;
    }
    pthread_mutex_unlock(&reader->lock);
    return slot;
}

static void release_slot(struct vdt_reader *reader, struct clip_slot *slot) {
    pthread_mutex_lock(&reader->lock);
    slot->state = SLOT_FREE;
    pthread_cond_broadcast(&reader->changed);
    pthread_mutex_unlock(&reader->lock);
}

static void push(struct vdt_reader *reader, struct clip_slot *slot) {
    pthread_mutex_lock(&reader->lock);
    slot->state = SLOT_QUEUED;
    slot->next = NULL;
    if (reader->last)
        reader->last->next = slot;
    else
        reader->first = slot;
    reader->last = slot;
    pthread_cond_broadcast(&reader->changed);
    pthread_mutex_unlock(&reader->lock);
}

// The front's oldest item, which leaves the queue if `take`; NULL where there is none.
static struct clip_slot *front_item(struct vdt_reader *reader, bool take) {
    struct clip_slot *before = NULL, *slot = reader->first;
    while (slot && slot->input != reader->front) {
        before = slot;
        slot = slot->next;
    }
    if (!slot || !take) return slot;
    if (before)
        before->next = slot->next;
    else
        reader->first = slot->next;
    if (reader->last == slot) reader->last = before;
    slot->state = SLOT_HELD;
    return slot;
}

static bool is_being_read(const struct vdt_reader *reader, size_t input) {
    for (size_t i = 0; i < reader->n_lanes; i++) {
        if (reader->lanes[i].input == input) return true;
    }
    return false;
}

// Moves the front past inputs that are read and delivered.
static void advance_front(struct vdt_reader *reader) {
    const size_t before = reader->front;
    while (reader->front < reader->next_input && !is_being_read(reader, reader->front) &&
           !front_item(reader, false)) {
        reader->front++;
    }
    if (reader->front != before) pthread_cond_broadcast(&reader->changed);
}

static int allocate_clip(struct clip_memory *clip, struct vdt_reader *reader, vdt_error *error) {
    clip->pixels = mem_alloc(reader->memory, reader->frames, reader->frame_bytes, "clip", error);
    clip->frames = mem_alloc(reader->memory, reader->frames, sizeof *clip->frames, "clip", error);
    clip->times = mem_alloc(reader->memory, reader->frames, sizeof *clip->times, "clip", error);
    return clip->pixels && clip->frames && clip->times ? VDT_OK : VDT_ERROR_MEMORY;
}

static void free_clip(struct clip_memory *clip, struct memory *memory) {
    mem_free(memory, clip->pixels);
    mem_free(memory, clip->frames);
    mem_free(memory, clip->times);
    *clip = (struct clip_memory){0};
}

// A full clip becomes an item.
static void push_clip(struct reading *reading, struct clip_slot *slot, uint32_t view,
                      uint32_t views) {
    const struct vdt_reader *reader = reading->reader;
    slot->item = (vdt_item){
        .input = reading->input,
        .index = view == 0 ? reading->n_clips++ : reading->n_clips - 1,
        .view = view,
        .views = views,
        .clip = {.pixels = slot->memory.pixels,
                 .row_stride = 3 * reader->width,
                 .frame_stride = reader->frame_bytes},
        .frames = slot->memory.frames,
        .times = slot->memory.times,
        .lost = reading->decoder->info.lost,
        .decode_ms = reading->decode_ms,
        .preprocess_ms = reading->preprocess_ms,
        .slot = slot,
    };
    reading->decode_ms = reading->preprocess_ms = 0.0;
    push(reading->reader, slot);
}

/* ---- frames into clips --------------------------------------------------------------------- */

static int put_frame(struct reading *reading, const struct clip_memory *clip, size_t i,
                     const struct frame *frame, enum placement placement) {
    struct vdt_reader *reader = reading->reader;
    const double start = clock_ms();
    const int status =
        preprocess_frame(&reading->lane->preprocess, clip->pixels + i * reader->frame_bytes, frame,
                         placement, reading->error);
    clip->frames[i] = frame->index;
    clip->times[i] = frame->time;
    reading->preprocess_ms += clock_ms() - start;
    return status ? status_prefix(reading->error, status, reader->inputs[reading->input]) : VDT_OK;
}

// Frame `from` of a clip once more, as frame `to` of this one.
static void repeat_frame(const struct reading *reading, const struct clip_memory *clip, size_t to,
                         const struct clip_memory *from_clip, size_t from) {
    const size_t bytes = reading->reader->frame_bytes;
    memcpy(clip->pixels + to * bytes, from_clip->pixels + from * bytes, bytes);
    clip->frames[to] = from_clip->frames[from];
    clip->times[to] = from_clip->times[from];
}

static int decode_frame(struct reading *reading, struct frame *frame, bool by_index,
                        uint64_t index) {
    struct decoder *decoder = reading->decoder;
    const double start = clock_ms();
    const int status = by_index ? decoder->functions->seek(decoder, index, frame, reading->error)
                                : decoder->functions->next(decoder, frame, reading->error);
    reading->decode_ms += clock_ms() - start;
    return status;
}

/* ---- clips of known indices ---------------------------------------------------------------- */

enum { MAX_VIEWS_SPACE = 3 };

// The frames of `indices` into one slot a placement. VDT_END where the input proves shorter.
static int fill_views(struct reading *reading, struct clip_slot *const *slots, size_t n_slots,
                      const uint64_t *indices) {
    static const enum placement placements[MAX_VIEWS_SPACE] = {PLACE_START, PLACE_CENTRE,
                                                               PLACE_END};
    for (size_t i = 0; i < reading->reader->frames; i++) {
        const bool again = i > 0 && indices[i] == indices[i - 1];
        struct frame frame;
        int status = again ? VDT_OK : decode_frame(reading, &frame, true, indices[i]);
        for (size_t s = 0; !status && s < n_slots; s++) {
            const enum placement placement = n_slots == 1 ? PLACE_PROCESSOR : placements[s];
            if (again)
                repeat_frame(reading, &slots[s]->memory, i, &slots[s]->memory, i - 1);
            else
                status = put_frame(reading, &slots[s]->memory, i, &frame, placement);
        }
        if (status) return status;
    }
    return VDT_OK;
}

static int read_view(struct reading *reading, uint32_t view, uint64_t *indices) {
    struct vdt_reader *reader = reading->reader;
    const vdt_reader_options *options = &reader->options;
    const uint32_t views_space = options->views_space, views = options->views_time * views_space;
    struct clip_slot *slots[MAX_VIEWS_SPACE];
    for (uint32_t s = 0; s < views_space; s++) {
        slots[s] = take_slot(reading);
        if (!slots[s]) return VDT_ERROR_CANCELLED;
    }
    int status = VDT_END;
    for (int attempt = 0; status == VDT_END && attempt < 3;
         attempt++) { // the count shrinks when frames do not decode
        const uint64_t total = reading->decoder->info.frames;
        if (total == 0) {
            status = status_fail(reading->error, VDT_ERROR_FORMAT, "%s: no frame of it decodes",
                                 reader->inputs[reading->input]);
            break;
        }
        sample_indices(indices, reader->frames, total, options->sampling, options->rate, view,
                       options->views_time);
        status = fill_views(reading, slots, views_space, indices);
    }
    if (status == VDT_END) {
        status = status_fail(reading->error, VDT_ERROR_FORMAT, "%s: its frames cannot be counted",
                             reader->inputs[reading->input]);
    }
    for (uint32_t s = 0; s < views_space; s++) {
        if (status)
            release_slot(reader, slots[s]);
        else
            push_clip(reading, slots[s], view * views_space + s, views);
    }
    return status;
}

static int read_indexed(struct reading *reading) {
    struct vdt_reader *reader = reading->reader;
    uint64_t *indices =
        mem_alloc(reader->memory, reader->frames, sizeof *indices, "clip", reading->error);
    if (!indices) return VDT_ERROR_MEMORY;
    const double start = clock_ms();
    int status = reading->decoder->functions->count(reading->decoder, reading->error);
    reading->decode_ms += clock_ms() - start;
    for (uint32_t view = 0; !status && view < reader->options.views_time; view++) {
        status = read_view(reading, view, indices);
    }
    mem_free(reader->memory, indices);
    return status;
}

static const double MIN_SECONDS = 1e-3;    // of SLIDE
static const double TIME_TOLERANCE = 1e-6; // seconds: time stamps are fractions, starts are sums

/* ---- sliding clips ------------------------------------------------------------------------- */

enum { MAX_OVERLAP = 64 };

// Clips that have begun and still need frames, the oldest first.
struct sliding {
    struct clip_memory clips[MAX_OVERLAP];
    uint64_t starts[MAX_OVERLAP];
    size_t filled[MAX_OVERLAP];
    size_t n;
    double next_start; // time stamp
};

// A clip begins with the first frame of each step. Where time has leapt back, as a camera's does that sets
// its clock, steps are counted from there.
static int begin_clip(struct reading *reading, struct sliding *sliding, const struct frame *frame) {
    const double time = frame->time + TIME_TOLERANCE;
    const double seconds = reading->reader->options.seconds;
    if (time < sliding->next_start && time >= sliding->next_start - seconds) return VDT_OK;
    sliding->next_start = seconds > 0.0 ? (floor(time / seconds) + 1.0) * seconds : -INFINITY;
    if (sliding->n == MAX_OVERLAP) {
        return status_fail(reading->error, VDT_ERROR_UNSUPPORTED,
                           "%s: more than %d clips overlap; slide by more seconds",
                           reading->reader->inputs[reading->input], MAX_OVERLAP);
    }
    const size_t i = sliding->n++;
    sliding->starts[i] = frame->index;
    sliding->filled[i] = 0;
    return sliding->clips[i].pixels
               ? VDT_OK
               : allocate_clip(&sliding->clips[i], reading->reader, reading->error);
}

// The frame goes to every clip whose stride it meets.
static int share_frame(struct reading *reading, struct sliding *sliding,
                       const struct frame *frame) {
    const struct clip_memory *first = NULL;
    size_t first_at = 0;
    for (size_t i = 0; i < sliding->n; i++) {
        if ((frame->index - sliding->starts[i]) % reading->reader->options.rate != 0) continue;
        const size_t at = sliding->filled[i]++;
        if (first) {
            repeat_frame(reading, &sliding->clips[i], at, first, first_at);
        } else {
            const int status = put_frame(reading, &sliding->clips[i], at, frame, PLACE_PROCESSOR);
            if (status) return status;
            first = &sliding->clips[i];
            first_at = at;
        }
    }
    return VDT_OK;
}

// The oldest clip leaves by a free slot; its memory waits behind the active ones for the next clip.
static int finish_oldest(struct reading *reading, struct sliding *sliding) {
    struct vdt_reader *reader = reading->reader;
    struct clip_slot *slot = take_slot(reading);
    if (!slot) return VDT_ERROR_CANCELLED;
    const struct clip_memory oldest = sliding->clips[0];
    for (size_t i = 0; i < reader->frames; i++) repeat_frame(reading, &slot->memory, i, &oldest, i);
    sliding->n--;
    for (size_t i = 0; i < sliding->n; i++) {
        sliding->clips[i] = sliding->clips[i + 1];
        sliding->starts[i] = sliding->starts[i + 1];
        sliding->filled[i] = sliding->filled[i + 1];
    }
    sliding->clips[sliding->n] = oldest;
    push_clip(reading, slot, 0, 1);
    return VDT_OK;
}

static int read_sliding(struct reading *reading, struct sliding *sliding) {
    const size_t frames = reading->reader->frames;
    struct frame frame = {0}, last = {0};
    int status;
    while ((status = decode_frame(reading, &frame, false, 0)) == VDT_OK) {
        last = frame;
        status = begin_clip(reading, sliding, &frame);
        if (!status) status = share_frame(reading, sliding, &frame);
        while (!status && sliding->n > 0 && sliding->filled[0] == frames)
            status = finish_oldest(reading, sliding);
        if (status) return status;
    }
    if (status != VDT_END) return status;
    if (!last.pixels) {
        return status_fail(reading->error, VDT_ERROR_FORMAT, "%s: no frame of it decodes",
                           reading->reader->inputs[reading->input]);
    }
    status = VDT_OK;
    while (!status && sliding->n > 0) { // clips that the end cuts short repeat the last frame
        for (size_t i = sliding->filled[0]; !status && i < frames; i++) {
            if (i > sliding->filled[0])
                repeat_frame(reading, &sliding->clips[0], i, &sliding->clips[0], i - 1);
            else
                status = put_frame(reading, &sliding->clips[0], i, &last, PLACE_PROCESSOR);
        }
        if (!status) status = finish_oldest(reading, sliding);
    }
    return status;
}

static int read_slide(struct reading *reading) {
    struct memory *memory = reading->reader->memory;
    struct sliding *sliding = mem_alloc(memory, 1, sizeof *sliding, "clips", reading->error);
    if (!sliding) return VDT_ERROR_MEMORY;
    const int status = read_sliding(reading, sliding);
    for (size_t i = 0; i < MAX_OVERLAP; i++) free_clip(&sliding->clips[i], memory);
    mem_free(memory, sliding);
    return status;
}

/* ---- the lanes ----------------------------------------------------------------------------- */

static void push_error(struct reading *reading) {
    struct clip_slot *slot = take_slot(reading);
    if (!slot) return;
    slot->item =
        (vdt_item){.input = reading->input, .index = reading->n_clips, .views = 1, .slot = slot};
    slot->item.error = *reading->error;
    slot->item.decode_ms = reading->decode_ms;
    push(reading->reader, slot);
}

static void read_input(struct lane *lane) {
    struct vdt_reader *reader = lane->reader;
    const size_t input = lane->input;
    vdt_error error = {0};
    struct reading reading = {.reader = reader, .lane = lane, .input = input, .error = &error};
    const double start = clock_ms();
    int status = decoder_open(&reading.decoder, reader->memory, reader->inputs[input],
                              &reader->stop, &error);
    reading.decode_ms = clock_ms() - start;
    if (!status && reading.decoder->live && reader->options.sampling != VDT_SAMPLE_SLIDE) {
        status = status_fail(&error, VDT_ERROR_UNSUPPORTED,
                             "%s: has no end: expected sampling by slide:SECONDS",
                             reader->inputs[input]);
    }
    if (!status)
        status = reader->options.sampling == VDT_SAMPLE_SLIDE ? read_slide(&reading)
                                                              : read_indexed(&reading);
    if (status && !atomic_load(&reader->stop)) push_error(&reading);
    decoder_close(&reading.decoder);
}

// The lane's next input; false where all are taken or the reader is being closed.
static bool take_input(struct lane *lane) {
    struct vdt_reader *reader = lane->reader;
    pthread_mutex_lock(&reader->lock);
    const bool more = reader->next_input < reader->n_inputs && !atomic_load(&reader->stop);
    lane->input = more ? reader->next_input++ : NO_INPUT;
    pthread_cond_broadcast(&reader->changed); // the input before it may be complete
    pthread_mutex_unlock(&reader->lock);
    return more;
}

static void *run_lane(void *argument) {
    struct lane *lane = argument;
    while (take_input(lane)) read_input(lane);
    return NULL;
}

/* ---- the interface ------------------------------------------------------------------------- */

void vdt_reader_options_init(vdt_reader_options *options) {
    *options = (vdt_reader_options){.abi = VDT_ABI,
                                    .sampling = VDT_SAMPLE_CENTER,
                                    .views_time = 1,
                                    .views_space = 1,
                                    .seconds = 1.0,
                                    .ahead = 4};
}

static int check_options(const vdt_reader_options *options, vdt_error *error) {
    if (options->abi != VDT_ABI) {
        return status_fail(error, VDT_ERROR_ARGUMENT, "reader options: expected ABI %u, found %u",
                           VDT_ABI, options->abi);
    }
    if (options->ahead < 1 || options->ahead > 4096 || options->threads > MAX_LANES ||
        options->rate > 100000 || options->sampling > VDT_SAMPLE_SLIDE) {
        return status_fail(
            error, VDT_ERROR_ARGUMENT,
            "reader options: expected ahead 1..4096, threads 0..%d, rate 0..100000 and "
            "a known sampling, found %u, %u, %u, %d",
            MAX_LANES, options->ahead, options->threads, options->rate, (int)options->sampling);
    }
    if (options->views_time < 1 || options->views_time > 100 ||
        (options->views_space != 1 && options->views_space != 3)) {
        return status_fail(error, VDT_ERROR_ARGUMENT,
                           "views: expected 1..100 in time and 1 or 3 in space, found %u and %u",
                           options->views_time, options->views_space);
    }
    if (options->seconds != 0.0 && !(options->seconds >= MIN_SECONDS && options->seconds <= 1e6)) {
        return status_fail(error, VDT_ERROR_ARGUMENT, "seconds: expected 0 or %g..1e6, found %g",
                           MIN_SECONDS, options->seconds);
    }
    return VDT_OK;
}

static int allocate_reader(struct vdt_reader *reader, const char *const *inputs, size_t n_inputs,
                           vdt_error *error) {
    struct memory *memory = reader->memory;
    reader->inputs = mem_alloc(memory, n_inputs, sizeof *reader->inputs, "reader", error);
    reader->slots = mem_alloc(memory, reader->n_slots, sizeof *reader->slots, "reader", error);
    reader->lanes = mem_alloc(memory, reader->n_lanes, sizeof *reader->lanes, "reader", error);
    if (!reader->inputs || !reader->slots || !reader->lanes) return VDT_ERROR_MEMORY;
    for (size_t i = 0; i < n_inputs; i++) {
        reader->inputs[i] = mem_string(memory, inputs[i], strlen(inputs[i]), error);
        if (!reader->inputs[i]) return VDT_ERROR_MEMORY;
        reader->n_inputs++;
    }
    for (size_t i = 0; i < reader->n_slots; i++) {
        const int status = allocate_clip(&reader->slots[i].memory, reader, error);
        if (status) return status;
    }
    return VDT_OK;
}

static int start_lanes(struct vdt_reader *reader, const struct reader_target *target,
                       vdt_error *error) {
    for (size_t i = 0; i < reader->n_lanes; i++) {
        struct lane *lane = &reader->lanes[i];
        lane->reader = reader;
        lane->input = NO_INPUT;
        preprocess_init(&lane->preprocess, target->memory, target->kernels, target->processor,
                        reader->height, reader->width);
    }
    for (size_t i = 0; i < reader->n_lanes; i++) {
        const int failed =
            pthread_create(&reader->lanes[i].thread, NULL, run_lane, &reader->lanes[i]);
        if (failed)
            return status_fail(error, VDT_ERROR_LIBRARY, "reader: no thread: %s", strerror(failed));
        reader->n_started++;
    }
    return VDT_OK;
}

int reader_open(vdt_reader **out, const struct reader_target *target, const char *const *inputs,
                size_t n_inputs, const vdt_reader_options *options, vdt_error *error) {
    vdt_reader_options defaults;
    vdt_reader_options_init(&defaults);
    if (!options) options = &defaults;
    int status = check_options(options, error);
    if (status) return status;
    struct vdt_reader *reader = mem_alloc(target->memory, 1, sizeof *reader, "reader", error);
    if (!reader) return VDT_ERROR_MEMORY;
    reader->memory = target->memory;
    reader->options = *options;
    if (reader->options.rate == 0) reader->options.rate = target->rate;
    if (options->sampling != VDT_SAMPLE_MULTI)
        reader->options.views_time = reader->options.views_space = 1;
    reader->frames = target->frames;
    reader->height = target->height;
    reader->width = target->width;
    reader->frame_bytes = 3 * reader->height * reader->width;
    const size_t views = reader->options.views_space,
                 threads =
                     options->threads > 0 ? options->threads : min_size(target->threads, MAX_LANES);
    reader->n_lanes = min_size(threads, max_size(n_inputs, 1));
    // The views of a frame are made together: they need their slots at once, whatever is held.
    reader->n_slots = (size_t)options->ahead + views - 1;
    if (reader->n_lanes > 1) reader->most_behind = reader->n_slots + (reader->n_lanes - 2) * views;
    reader->n_slots += reader->most_behind;
    pthread_mutex_init(&reader->lock, NULL);
    pthread_cond_init(&reader->changed, NULL);
    status = allocate_reader(reader, inputs, n_inputs, error);
    if (!status) status = start_lanes(reader, target, error);
    if (status) {
        vdt_reader_close(&reader);
    } else {
        *out = reader;
    }
    return status;
}

vdt_status vdt_reader_next(vdt_reader *reader, vdt_item *item, vdt_error *error) {
    int status = VDT_OK;
    struct clip_slot *slot = NULL;
    pthread_mutex_lock(&reader->lock);
    if (reader->n_held == reader->options.ahead) {
        status = status_fail(error, VDT_ERROR_ARGUMENT,
                             "reader: all %u items are held; give one back first",
                             reader->options.ahead);
    }
    while (!status && !slot && !atomic_load(&reader->stop)) {
        advance_front(reader);
        slot = front_item(reader, true);
        if (!slot && reader->front == reader->n_inputs)
            status = VDT_END;
        else if (!slot)
            pthread_cond_wait(&reader->changed, &reader->lock);
    }
    if (slot) {
        *item = slot->item;
        reader->n_held++;
    } else if (!status) {
        status = status_fail(error, VDT_ERROR_CANCELLED, "reader: cancelled");
    }
    pthread_mutex_unlock(&reader->lock);
    return status;
}

int vdt_reader_ready(vdt_reader *reader) {
    pthread_mutex_lock(&reader->lock);
    advance_front(reader);
    const bool ready = front_item(reader, false) || reader->front == reader->n_inputs;
    pthread_mutex_unlock(&reader->lock);
    return ready;
}

void vdt_reader_cancel(vdt_reader *reader) {
    pthread_mutex_lock(&reader->lock);
    atomic_store(&reader->stop, true);
    pthread_cond_broadcast(&reader->changed);
    pthread_mutex_unlock(&reader->lock);
}

void vdt_reader_give(vdt_reader *reader, vdt_item *item) {
    if (!item->slot) return;
    struct clip_slot *slot = item->slot;
    item->slot = NULL;
    pthread_mutex_lock(&reader->lock);
    reader->n_held--;
    slot->state = SLOT_FREE;
    pthread_cond_broadcast(&reader->changed);
    pthread_mutex_unlock(&reader->lock);
}

void vdt_reader_close(vdt_reader **handle) {
    if (!handle || !*handle) return;
    struct vdt_reader *reader = *handle;
    struct memory *memory = reader->memory;
    vdt_reader_cancel(reader);
    for (size_t i = 0; i < reader->n_started; i++) pthread_join(reader->lanes[i].thread, NULL);
    pthread_cond_destroy(&reader->changed);
    pthread_mutex_destroy(&reader->lock);
    for (size_t i = 0; reader->lanes && i < reader->n_lanes; i++)
        preprocess_free(&reader->lanes[i].preprocess);
    for (size_t i = 0; reader->slots && i < reader->n_slots; i++)
        free_clip(&reader->slots[i].memory, memory);
    for (size_t i = 0; i < reader->n_inputs; i++) mem_free(memory, reader->inputs[i]);
    mem_free(memory, reader->inputs);
    mem_free(memory, reader->slots);
    mem_free(memory, reader->lanes);
    mem_free(memory, reader);
    *handle = NULL;
}
