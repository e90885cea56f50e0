/*
 * vidette.h - runs video transformers from Hugging Face directories on real video.
 *
 * A whole program: print the most probable class of each clip of the videos it is given.
 *
 *     int main(int argc, char **argv) {
 *         vdt_error error = {0};
 *         vdt_context *context = NULL;
 *         vdt_model *model = NULL;
 *         vdt_session *session = NULL;
 *         vdt_reader *reader = NULL;
 *         if (argc < 3 ||
 *             vdt_context_open(&context, NULL, &error) ||
 *             vdt_model_open(&model, context, argv[1], NULL, &error) ||
 *             vdt_session_open(&session, model, NULL, &error) ||
 *             vdt_reader_open(&reader, session, (const char *const *)argv + 2, (size_t)argc - 2,
 *                             NULL, &error)) {
 *             return fprintf(stderr, "%s\n", error.message), 1;
 *         }
 *         size_t n = vdt_session_shape(session)->logits;
 *         float *logits = calloc(n, sizeof *logits);
 *         vdt_output output = {.logits = logits};
 *         vdt_item item;
 *         while (vdt_reader_next(reader, &item, &error) == VDT_OK) {
 *             if (!item.error.status &&
 *                 !vdt_session_run(session, &item.clip, 1, &output, NULL, &error))
 *                 puts(vdt_model_label(model, vdt_argmax(logits, n)));
 *             vdt_reader_give(reader, &item);
 *         }
 *         free(logits);
 *         vdt_reader_close(&reader);
 *         vdt_session_close(&session);
 *         vdt_model_close(&model);
 *         vdt_context_close(&context);
 *     }
 *
 * Objects, each made from the one before it and closed in the opposite order:
 *
 *     vdt_context  Thread pool, allocator, callbacks. Shared by everything; safe from several threads.
 *     vdt_model    Weights of one directory, immutable once open. Shared by sessions on several threads.
 *     vdt_session  All mutable state of one timeline. One thread at a time.
 *     vdt_reader   Decodes files, cameras and URLs ahead of the session, on threads of its own.
 *
 * Rules that hold everywhere. A function that can fail returns a vdt_status, 0 for success; `error`
 * may be NULL; on failure outputs are left as they were and nothing is left open. vdt_x_close(&x)
 * accepts NULL and a NULL object and sets the pointer to NULL. Options structs are filled by
 * vdt_x_options_init() and then changed; a NULL options pointer means the defaults. The library
 * prints nothing, never exits, reads no environment variable and keeps no state outside these
 * objects (libav's log, which belongs to the process, is switched off when the first input is
 * opened).
 */
#ifndef VIDETTE_H
#define VIDETTE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VDT_VERSION "0.1.0"
#define VDT_ABI     3u // grows when a struct below changes its layout

#if defined(__GNUC__)
#define VDT_API __attribute__((visibility("default")))
#else
#define VDT_API
#endif

/* ---- status ---------------------------------------------------------------------------------- */

typedef enum vdt_status {
    VDT_OK = 0,
    VDT_END = 1,                // no more items; not an error, vdt_error is untouched
    VDT_ERROR_ARGUMENT = -1,    // the caller's argument is outside its documented range
    VDT_ERROR_MEMORY = -2,      // the allocator returned NULL
    VDT_ERROR_IO = -3,          // a file or device cannot be opened or read
    VDT_ERROR_FORMAT = -4,      // bytes are not what their format promises
    VDT_ERROR_UNSUPPORTED = -5, // well-formed, but not something this version does
    VDT_ERROR_NUMERIC = -6,     // NaN or infinity where a number is needed
    VDT_ERROR_CANCELLED = -7,   // a callback asked to stop
    VDT_ERROR_LIBRARY = -8,     // a library underneath failed in a way it does not explain
} vdt_status;

typedef struct vdt_error {
    vdt_status status;
    char message[500]; // one line without a final newline: "THING: expected ..., found ..."
} vdt_error;

VDT_API const char *vdt_version(void); // VDT_VERSION of the library that is running
VDT_API const char *vdt_status_name(vdt_status status); // "ok", "format", ...; never NULL

/* ---- context --------------------------------------------------------------------------------- */

typedef struct vdt_context vdt_context;

typedef enum vdt_cpu {       // an upper limit on the instructions that kernels use
    VDT_CPU_C = 0,           // portable C
    VDT_CPU_AVX2 = 1,        // AVX2 with FMA
    VDT_CPU_AVX512 = 2,      // AVX-512 F, BW, DQ, VL
    VDT_CPU_AVX512_VNNI = 3, // and VNNI: int8 products
    VDT_CPU_AVX512_BF16 = 4, // and BF16: bf16 products
    VDT_CPU_AMX = 5,         // and AMX: matrix units for bf16 and int8
    VDT_CPU_BEST = 255,      // whatever this CPU has
} vdt_cpu;

// Memory for everything the library allocates itself. `allocate` returns `bytes` bytes aligned to
// 64, or NULL. Both are called from several threads at once.
typedef struct vdt_allocator {
    void *(*allocate)(void *user, size_t bytes);
    void (*release)(void *user, void *pointer,
                    size_t bytes); // pointer is never NULL; bytes as allocated
    void *user;
} vdt_allocator;

// Called now and then during long work. what: "run" (blocks of the model); done <= total. Non-zero
// cancels the work, which then returns VDT_ERROR_CANCELLED.
typedef int (*vdt_progress_fn)(void *user, const char *what, size_t done, size_t total);

typedef struct vdt_context_options {
    uint32_t abi;     // VDT_ABI; set by init
    uint32_t threads; // 0..256 threads that compute, the caller's among them; 0 = all logical CPUs;
                      // default 0
    vdt_cpu cpu;      // highest instruction set to use; default VDT_CPU_BEST
    vdt_allocator allocator;  // allocate == NULL: the C library's; default NULL
    vdt_progress_fn progress; // may be NULL; default NULL
    void *progress_user;      // handed to progress
} vdt_context_options;

VDT_API void vdt_context_options_init(vdt_context_options *options);
VDT_API vdt_status vdt_context_open(vdt_context **context, const vdt_context_options *options,
                                    vdt_error *error);
VDT_API void vdt_context_close(vdt_context **context);
VDT_API uint32_t vdt_context_threads(const vdt_context *context); // threads that compute
VDT_API const char *
vdt_context_cpu(const vdt_context *context); // the level's name: "c", "avx2", ...

/* ---- model ----------------------------------------------------------------------------------- */

typedef struct vdt_model vdt_model;

typedef enum vdt_precision { // of weights and activations; sums, norms, softmax and residuals are always f32
    VDT_PRECISION_AUTO = 0, // bf16 where the CPU has bf16 arithmetic, else f32
    VDT_PRECISION_F32 = 1,
    VDT_PRECISION_BF16 = 2, // falls back to f32 on CPUs without bf16 arithmetic
    VDT_PRECISION_INT8 = 3, // the blocks' matrices and scores. Falls back to bf16, then f32
} vdt_precision;

typedef struct vdt_model_options {
    uint32_t abi;            // VDT_ABI; set by init
    vdt_precision precision; // wanted; vdt_model_info says what it became; default AUTO
    uint32_t size; // vdt_model_open_arch only: pixel side, 0 = the geometry's own; default 0
    uint32_t
        labels; // vdt_model_open_arch only: classes, 1..100000, 0 = the geometry's own; default 0
    uint64_t seed; // vdt_model_open_arch only: seed of the random weights; default 0
} vdt_model_options;

// What a directory's vidette.json recommends, as the command's options of the same names spell it; members
// that the file does not have are NULL. `vidette eval --write-recommendation` writes one.
typedef struct vdt_recommendation {
    const char *rlt, *rlt_reference, *rlt_lengths;
    const char *tome, *tome_attention;
    const char *precision; // what vdt_model_open runs in where the options say AUTO
} vdt_recommendation;

// Everything a directory says of its model. Strings live as long as the model; those marked may be
// NULL.
typedef struct vdt_model_info {
    const char *family;  // "videomae", "vit", ...
    const char *name;    // last part of the directory's path, or the name given to open_arch
    const char *licence; // what the model card's front matter says; may be NULL
    const vdt_recommendation *recommended; // NULL: the directory has no vidette.json
    uint32_t frames;                       // frames a clip takes; 1 for image models
    uint32_t tubelet;                      // frames a token spans
    uint32_t rate;          // stride in frames between the sampled frames, recommended or customary
    uint32_t height, width; // pixels after the model's own preprocessing
    uint32_t patch;         // pixel side of a token
    uint32_t prefix_tokens; // class, distillation and register tokens before the patches
    uint32_t tokens;        // tokens of a clip at (frames, height, width), prefix included
    uint32_t width_model;   // D
    uint32_t layers;        // L
    uint32_t heads;         // H
    uint32_t width_mlp;     // inner width of the MLP
    uint32_t labels;        // classes; 0 without a classifier
    vdt_precision precision; // what the model runs in; never AUTO
    uint64_t parameters;     // numbers in the weights
    uint64_t weight_bytes;   // bytes that the packed weights take in memory
    uint64_t
        macs; // multiply-adds of one clip: linear layers, attention products, patch embedding, head
} vdt_model_info;

VDT_API void vdt_model_options_init(vdt_model_options *options);

// Opens a Hugging Face directory: config.json, model.safetensors (or its shards), the processor's
// config. A missing, unknown, doubly defined or wrongly shaped tensor is an error that names it.
VDT_API vdt_status vdt_model_open(vdt_model **model, vdt_context *context, const char *directory,
                                  const vdt_model_options *options, vdt_error *error);

// The same for a named geometry with seeded random weights (vdt_arch_name lists them); no file is
// needed.
VDT_API vdt_status vdt_model_open_arch(vdt_model **model, vdt_context *context, const char *arch,
                                       const vdt_model_options *options, vdt_error *error);

VDT_API void vdt_model_close(vdt_model **model);
VDT_API const vdt_model_info *vdt_model_info_get(const vdt_model *model);
VDT_API const char *vdt_model_label(const vdt_model *model, size_t id); // NULL where id >= labels
VDT_API const char *vdt_precision_name(vdt_precision precision); // "auto", "f32", "bf16", "int8"
VDT_API const char *vdt_arch_name(size_t index);                 // NULL past the last
VDT_API const char *vdt_family_name(size_t index);               // NULL past the last

/* ---- reduction ------------------------------------------------------------------------------- */

// RLT, run-length tokenization (Choudhury et al. 2024, arXiv 2411.05222): tubelets that look like the one
// before them are dropped before the first block. A clip's first tubelets are always kept, and so are the
// tokens before the patches. Decisions are made from bytes, in integers and one order of doubles: they are
// the same on every machine.
typedef enum vdt_rlt_mode {
    VDT_RLT_OFF = 0,
    VDT_RLT_THRESHOLD, // keep what differs by more than tau
    VDT_RLT_KEEP, // exactly `keep` tokens a clip: the highest scores against the tubelet before, ties to
                  // the lower index
    VDT_RLT_RANDOM, // exactly `keep` tokens a clip, drawn by `seed`: the control for every other result
    VDT_RLT_EVEN, // whole steps in time, evenly spread, at most `keep` tokens: as if frames were left out
} vdt_rlt_mode;

typedef enum vdt_rlt_reference { // what a tubelet is compared with, by threshold
    VDT_RLT_RUN_HEAD = 0,        // the last one kept at its place: slow fades are seen
    VDT_RLT_PREVIOUS = 1,        // the one before it (the paper's)
} vdt_rlt_reference;

enum { // how a kept token's run length l, the tubelets it stands for, is used: a set
    VDT_RLT_LENGTHS_BIAS = 1, // log l is added to the attention logits of its key
    VDT_RLT_LENGTHS_POOL = 2, // means over the tokens are weighted by l
    // row l - 1 of the model's rlt.length_embedding.weight is added to the token
    VDT_RLT_LENGTHS_EMBED = 4,
};

typedef struct vdt_rlt_options {
    vdt_rlt_mode mode;           // default OFF
    double tau;                  // THRESHOLD: finite, >= 0, of normalised pixels; default 0.1
    uint32_t keep;               // KEEP, RANDOM, EVEN: tokens a clip, prefix included; default 0
    uint64_t seed;               // RANDOM; default 0
    vdt_rlt_reference reference; // THRESHOLD; default RUN_HEAD
    uint32_t lengths;            // VDT_RLT_LENGTHS_*; default 0, none
} vdt_rlt_options;

// ToMe, token merging (Bolya et al. 2022, arXiv 2210.09461): in every block, between attention and MLP, the
// r most similar pairs of tokens become one each, at most half of a clip's tokens. Tokens before the
// patches never merge. Means over the tokens are weighted by how many each stands for.
typedef enum vdt_tome_mode {
    VDT_TOME_OFF = 0,
    VDT_TOME_SCHEDULE, // r a block on average: constant, or falling or rising with `inflection`
    VDT_TOME_LIST,     // list[i] in block i
    VDT_TOME_PERCENT,  // floor(percent / 100 of the clip's tokens in that block)
} vdt_tome_mode;

typedef enum vdt_tome_attention { // log of a token's size in the attention logits of its key
    VDT_TOME_ATTENTION_AUTO = 0,  // plain for families pretrained by masking (videomae), else
                                  // proportional
    VDT_TOME_PROPORTIONAL = 1,
    VDT_TOME_PLAIN = 2,
} vdt_tome_attention;

typedef struct vdt_tome_options {
    vdt_tome_mode mode;           // default OFF
    uint32_t r;                   // SCHEDULE: 0..4194304; default 0
    double inflection;            // SCHEDULE: -1 (falling to 0) .. 1 (rising from 0); default 0
    const uint32_t *list;         // LIST: n_list numbers, 0..4194304, copied when the session opens
    uint32_t n_list;              // LIST: the model's number of blocks, exactly
    double percent;               // PERCENT: 0..100; default 0
    vdt_tome_attention attention; // default AUTO
} vdt_tome_options;

/* ---- session --------------------------------------------------------------------------------- */

typedef struct vdt_session vdt_session;

enum { VDT_LAYER_LAST = -1 }; // after the model's final norm (CLIP has none over its tokens)

// With reduction, TOKENS and MAP give every token the row that stands for it.
typedef enum vdt_pool {       // what is read out of a layer's N tokens, P of which are patches
    VDT_POOL_NONE_WANTED = 0, // no features
    VDT_POOL_CLASS,           // the class token: (D)
    VDT_POOL_MEAN,            // mean over the patches: (D)
    VDT_POOL_TOKENS,          // all tokens, prefix included: (N, D)
    VDT_POOL_MAP,             // the patches as a grid: (D, h, w), with (D, t, h, w) for clips
    VDT_POOL_HEAD,            // the model's own pooled output, what enters its classifier: (D')
} vdt_pool;

// Which tokens a stream recomputes (Dutson et al. 2023). A stream's session runs frames in order, one a call,
// and keeps for every block what it has computed; gates before the projections of attention and before the MLP
// pass on those tokens whose error against what they passed on before is picked.
typedef enum vdt_update {
    VDT_UPDATE_OFF = 0,   // no stream: clips have nothing to do with each other
    VDT_UPDATE_ALL,       // every token of every frame: the dense model, as a stream
    VDT_UPDATE_TOP,       // the r tokens with the largest errors
    VDT_UPDATE_FRACTION,  // floor(fraction x tokens) of them
    VDT_UPDATE_THRESHOLD, // all whose error's L2 norm exceeds the threshold
} vdt_update;

typedef enum vdt_attention { // of blocks that attend to the whole grid
    VDT_ATTENTION_EXACT = 0, // the softmax attention of the kept q, k and v, in O(N D) memory
    VDT_ATTENTION_DELTA = 1, // the paper's recurrence: approximate, O(N^2) memory, attention in f32
    VDT_ATTENTION_TOKENWISE = 2, // attention recomputed in full
} vdt_attention;

typedef enum vdt_still { // the test of patches before block 1, against the bytes that were embedded last
    VDT_STILL_FIXED = 0, // changed: more than `still_tolerance` away
    VDT_STILL_OFF = 1,   // every patch is embedded anew
    VDT_STILL_LEARN = 2, // the tolerance is learnt from the first 25 frames, which have none
} vdt_still;

typedef struct vdt_stream_options {
    vdt_update update; // default VDT_UPDATE_OFF
    uint32_t r;        // TOP: tokens a gate, more than there are mean all; default 0
    double fraction;   // FRACTION: 0..1; default 0
    double threshold;  // THRESHOLD: finite, >= 0; default 0
    double floor;      // errors whose norm is at or below it never count; finite, >= 0; default 0
    uint32_t max_wait; // steps after which a token above the floor is served before all others; 0:
                       // never for waiting; default 30
    vdt_attention attention; // default VDT_ATTENTION_EXACT
    vdt_still still;         // default VDT_STILL_FIXED
    double still_tolerance; // mean difference of a patch in units of the normalised pixels, finite,
                            // >= 0; 0: any byte that differs; default 0
    double budget_ms; // TOP: r is chosen for each step so that it takes at most so long, from a fit
                      // of what steps cost, begun when the session is opened; 0: r stays; default 0
    int record; // != 0: vdt_session_updated says which tokens passed; 4 bytes a token and gate of
                // memory, no result changes; default 0
} vdt_stream_options;

typedef struct vdt_session_options {
    uint32_t abi;    // VDT_ABI; set by init
    uint32_t clips;  // 1..4096 clips a call may pack; default 1
    uint32_t frames; // 0 = the model's; another number only where its positions can be made for it;
                     // default 0
    uint32_t height, width; // 0 = the model's; else pixels, at least one patch; default 0
    vdt_pool pool;          // features to read out; default VDT_POOL_NONE_WANTED
    int32_t layer;       // 0 (input of block 1) .. L (output of the last block), or VDT_LAYER_LAST;
                         // default LAST
    vdt_rlt_options rlt; // default off
    vdt_tome_options tome;     // default off
    vdt_stream_options stream; // update != OFF: the session is a stream; clips must be 1 then, and
                               // rlt and tome off
} vdt_session_options;

// Sizes of what goes in and comes out.
typedef struct vdt_session_shape_info {
    uint32_t frames, height, width;     // of one clip
    uint32_t tokens;                    // of one clip, prefix included
    uint32_t tokens_kept, tokens_final; // of one clip entering block 1 and after the last, at most
    uint64_t macs, macs_dense;          // of one clip with its reduction, at most, and without
    size_t logits;                      // floats of logits a clip; 0 without a classifier
    size_t features;                    // floats of features a clip; 0 unless a pool was asked for
    size_t feature_shape[4];            // their dimensions
    uint32_t feature_dimensions;        // 1..4
    size_t bytes;                       // memory of the session
} vdt_session_shape_info;

// Bytes after the processor's resize and crop, RGB interleaved: frame t, row y starts at
// pixels + t * frame_stride + y * row_stride.
typedef struct vdt_clip {
    const uint8_t *pixels;
    size_t row_stride;   // bytes, at least 3 * width
    size_t frame_stride; // bytes, at least height * row_stride
} vdt_clip;

typedef struct vdt_output { // the caller's buffers; NULL where not wanted
    float *logits;          // clip b starts at logits + b * logits_stride
    size_t logits_stride;   // floats; 0 = the number of logits
    float *features;        // clip b starts at features + b * features_stride
    size_t features_stride; // floats; 0 = the number of features
} vdt_output;

typedef struct vdt_stats { // of one call, for all its clips together
    double decide_ms;      // which tubelets to keep; which patches have changed (streams)
    double embed_ms;       // normalise, patch embedding, positions
    double blocks_ms;
    double head_ms;       // final norm, pooling, classifier, read-out
    double merge_ms;      // ToMe's share of blocks_ms: matching and merging
    uint64_t macs;        // multiply-adds done, counted where they are done, and macs_unread
    uint64_t macs_dense;  // multiply-adds that the same clips would take without reduction
    uint64_t macs_unread; // those left out where outputs read only a clip's first tokens: in the
                          // last block the others give keys and values, nothing else. Of a
                          // stream's steps only the first one tells
} vdt_stats;

// What became of the tokens of one clip. Token indices count the whole clip: the prefix (class,
// distillation and register tokens), then the patches in (t, h, w) order.
typedef struct vdt_tokens {
    uint32_t total, kept; // of a whole clip; after RLT
    uint32_t n_layers;    // L
    const uint32_t
        *layers; // (n_layers) tokens left after each block; the last one is the final number
    const uint32_t *indices; // (kept) the token that each row entering block 1 is, ascending
    const uint32_t *lengths; // (kept) tubelets it stands for there; they sum to T / s at each place
    const uint32_t *source;  // (total) the row that stands for each token after the last merging
    uint64_t macs, macs_dense; // multiply-adds of this clip
    // the same by the counting rule of the Eventful paper, which adds biases, residuals and positions and
    // leaves out patch embedding and heads
    uint64_t macs_eventful, macs_eventful_dense;
} vdt_tokens;

VDT_API void vdt_session_options_init(vdt_session_options *options);

// Bytes that a session with these options would take; nothing is allocated.
VDT_API vdt_status vdt_session_estimate(size_t *bytes, const vdt_model *model,
                                        const vdt_session_options *options, vdt_error *error);
VDT_API vdt_status vdt_session_open(vdt_session **session, vdt_model *model,
                                    const vdt_session_options *options, vdt_error *error);
VDT_API void vdt_session_close(vdt_session **session);
VDT_API const vdt_session_shape_info *vdt_session_shape(const vdt_session *session);

// Runs n_clips clips (1..options.clips) packed into one call. A clip's result has the same bits
// whatever it is packed with and however many threads compute. Allocates nothing. `stats` may be
// NULL. A stream of snippets reads its window only where an output is wanted. After a cancellation the outputs hold nothing of use.
VDT_API vdt_status vdt_session_run(vdt_session *session, const vdt_clip *clips, size_t n_clips,
                                   const vdt_output *output, vdt_stats *stats, vdt_error *error);

// Changes what RLT does from the next run on, in a session that was opened with RLT on. Allocates nothing.
VDT_API vdt_status vdt_session_set_rlt(vdt_session *session, const vdt_rlt_options *rlt,
                                       vdt_error *error);

// The tokens of clip `clip` of the last vdt_session_run that returned VDT_OK. The arrays belong to the
// session and hold until its next run. VDT_ERROR_ARGUMENT where that run had no such clip.
VDT_API vdt_status vdt_session_tokens(vdt_tokens *tokens, const vdt_session *session, size_t clip,
                                      vdt_error *error);

/* ---- streams --------------------------------------------------------------------------------- */

// What the last step of a stream did. The pointer lives as long as the session.
typedef struct vdt_stream_info {
    uint64_t step; // frames since the session was opened, reset or loaded into, this one included
    int first;     // everything was computed: the first step, or the one after a failed step
    int idle;      // nothing had changed and every gate had caught up: no transformer work
    uint32_t patches;        // of a frame
    uint32_t changed;        // patches that were embedded
    double still_tolerance;  // in use
    uint32_t r;              // TOP: in use; with a budget the mean over blocks
    size_t gates;            // 3 a block
    const uint32_t *updated; // (gates) tokens that passed each, in the order of execution
    uint64_t afresh; // EXACT: pairs of token and head computed afresh beyond those that changed
    uint64_t macs_eventful;       // operations by the counting rule of the Eventful paper
    uint64_t macs_eventful_dense; // the same of the dense model
    size_t state_bytes;           // memory kept from step to step
} vdt_stream_info;

// Which patches and tokens the last step computed. Tokens count as in vdt_tokens: the prefix, then the patches in (h, w)
// order. The arrays belong to the session and hold until its next run.
typedef struct vdt_updated {
    const uint32_t *patches; // (info.changed) that were embedded, ascending
    const uint32_t *tokens;  // (info.gates, shape.tokens) in row g the info.updated[g] tokens that
                             // passed gate g, ascending, then nothing of meaning
} vdt_updated;

// Of the last vdt_session_run that returned VDT_OK. VDT_ERROR_ARGUMENT where there was none, or where the session
// is no stream that records.
VDT_API vdt_status vdt_session_updated(vdt_updated *updated, const vdt_session *session,
                                       vdt_error *error);

// NULL where the session is no stream.
VDT_API const vdt_stream_info *vdt_session_stream(const vdt_session *session);

// A frame that is left out: what the last step found stands for it too. Nothing is computed but, in a model that
// reads a window of snippets, what the window gives once it has moved on. vdt_session_stream goes on to
// describe the last step. VDT_ERROR_ARGUMENT before the first one.
VDT_API vdt_status vdt_session_hold(vdt_session *session, const vdt_output *output,
                                    vdt_stats *stats, vdt_error *error);

// Another r (TOP) from the next step on: how a deadline is met.
VDT_API vdt_status vdt_session_set_r(vdt_session *session, uint32_t r, vdt_error *error);

// The next step is a first step: what comes has nothing to do with what came.
VDT_API vdt_status vdt_session_reset(vdt_session *session, vdt_error *error);

// Bytes of a snapshot of a stream; 0 where the session is no stream.
VDT_API size_t vdt_session_snapshot_bytes(const vdt_session *session);

// Copies all of a stream's state to bytes[0..vdt_session_snapshot_bytes), or back: a session of the same model,
// options and instruction set goes on with the same bits. A snapshot of anything else, or one that is damaged, is
// VDT_ERROR_FORMAT and changes nothing.
VDT_API vdt_status vdt_session_save(const vdt_session *session, void *bytes, vdt_error *error);
VDT_API vdt_status vdt_session_load(vdt_session *session, const void *bytes, size_t n_bytes,
                                    vdt_error *error);

// Index of the largest of n > 0 values, the lower one of equals; softmax in place, in double
// precision.
VDT_API size_t vdt_argmax(const float *values, size_t n);
VDT_API void vdt_softmax(float *values, size_t n);

// How fast this machine multiplies large matrices of a precision on all of the context's threads, in
// billions of operations (2 a multiply-add) a second: what efficiencies are measured against.
typedef struct vdt_peak {
    double gflops;      // the faster of the two
    double own, onednn; // this library's products; oneDNN's, left to itself, 0 without it
} vdt_peak;

// The fastest of some repeats; takes about a second. A precision that the CPU lacks is
// VDT_ERROR_UNSUPPORTED.
VDT_API vdt_status vdt_gemm_peak(vdt_peak *peak, vdt_context *context, vdt_precision precision,
                                 vdt_error *error);

/* ---- video in -------------------------------------------------------------------------------- */

typedef struct vdt_reader vdt_reader;

typedef enum vdt_sampling_kind {
    VDT_SAMPLE_CENTER = 0,  // span = (n - 1) * rate + 1, start = max(0, (F - span) / 2), i =
                            // min(start + i * rate, F - 1)
    VDT_SAMPLE_UNIFORM,     // index i = i * F / n
    VDT_SAMPLE_HF_PIPELINE, // linspace(0, n * rate - 1, n), truncated, from the first frame
    VDT_SAMPLE_MULTI, // views_time spans spread evenly over the video x views_space crops; average
                      // the logits
    VDT_SAMPLE_SLIDE, // a span that starts every `seconds`, by time stamps; 0: with every frame
} vdt_sampling_kind;

typedef struct vdt_reader_options {
    uint32_t abi;               // VDT_ABI; set by init
    vdt_sampling_kind sampling; // default CENTER
    uint32_t rate;              // stride in frames, 1..100000; 0 = the model's; default 0
    uint32_t views_time;        // MULTI: 1..100; default 1
    uint32_t views_space; // MULTI: 1 (centre) or 3 (left, centre, right or top, centre, bottom);
                          // default 1
    double seconds;       // SLIDE: 0 or 0.001..1e6; default 1
    uint32_t
        ahead; // clips of an input in memory at once, decoded ahead or held, 1..4096; default 4
    uint32_t
        threads; // inputs that are decoded at a time, each by a thread of its own, 1..64; 0 = as
                 // many as the context has threads; default 0
} vdt_reader_options;

typedef struct vdt_item { // one clip; its memory belongs to the reader until vdt_reader_give
    size_t input;         // index into inputs
    uint32_t index;       // 0, 1, ... within the input (SLIDE gives several)
    uint32_t view, views; // MULTI: this view of how many; else 0 of 1
    vdt_error
        error; // status != 0: this input failed, there is no clip, the next item is another input's
    vdt_clip clip;          // ready for vdt_session_run
    const uint64_t *frames; // (T) indices of the sampled frames
    const double *times;    // (T) their presentation times in seconds
    uint64_t lost;          // frames of this input that were promised and could not be decoded
    double decode_ms;       // time spent on decoding since the item before
    double preprocess_ms;   // time spent on resize and crop since the item before
    void *slot;             // the reader's
} vdt_item;

typedef struct vdt_video_info {
    char container[32], codec[32]; // short names, "mov,mp4", "h264"; "npy", "images"
    uint32_t width, height;        // pixels as displayed (rotation applied)
    int32_t rotation;              // degrees clockwise that display needs: 0, 90, 180, 270
    uint64_t frames;               // frames, 0 where unknown (a camera)
    double seconds;                // from the first frame to the end of the last; 0 where unknown
    double rate;                   // average frames a second; 0 where unknown
    uint64_t lost;                 // frames that the container promises and does not hold
} vdt_video_info;

VDT_API void vdt_reader_options_init(vdt_reader_options *options);

// Reads inputs in their order, some at a time: a video file, an image, a directory of images (natural order),
// a camera
// (/dev/videoN), an rtsp:// or http(s):// URL, or x.npy (uint8, T x H x W x 3). A failing input
// becomes an item with its error. The strings are copied. The session's frames, height and width
// are what clips are made for.
VDT_API vdt_status vdt_reader_open(vdt_reader **reader, const vdt_session *session,
                                   const char *const *inputs, size_t n_inputs,
                                   const vdt_reader_options *options, vdt_error *error);

// Waits for the next item. VDT_END after the last. Items come in the order of the inputs. A caller
// that holds `ahead` items must give one back first (VDT_ERROR_ARGUMENT).
VDT_API vdt_status vdt_reader_next(vdt_reader *reader, vdt_item *item, vdt_error *error);

// Whether vdt_reader_next would return at once.
VDT_API int vdt_reader_ready(vdt_reader *reader);

// Makes this and every later vdt_reader_next return VDT_ERROR_CANCELLED. From any thread, while the
// reader is open.
VDT_API void vdt_reader_cancel(vdt_reader *reader);

// Returns an item's memory; items may be given back in any order.
VDT_API void vdt_reader_give(vdt_reader *reader, vdt_item *item);
VDT_API void vdt_reader_close(vdt_reader **reader);

// What an input is; counts its frames without decoding them where the container allows it.
VDT_API vdt_status vdt_video_probe(vdt_video_info *info, vdt_context *context, const char *input,
                                   vdt_error *error);

/* ---- arrays ---------------------------------------------------------------------------------- */

enum { VDT_NPY_HEADER = 128 };

// Writes the header of a NumPy array of float32, C order, at most 5 dimensions: exactly
// VDT_NPY_HEADER bytes.
VDT_API vdt_status vdt_npy_header(char header[VDT_NPY_HEADER], const size_t *shape,
                                  size_t n_dimensions, vdt_error *error);

#ifdef __cplusplus
}
#endif

#endif
