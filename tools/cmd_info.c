// vidette info: what a model is, what an input is.
#include <string.h>

#include "commands.h"
#include "json_out.h"
#include "pipeline.h"

// `shape`: what the reduction asked for makes of a clip.
static void print_model(const vdt_model_info *info, const vdt_session_shape_info *shape) {
    printf("%s\n", info->name);
    printf("    family       %s, %u blocks of width %u, %u heads, MLP %u\n", info->family,
           info->layers, info->width_model, info->heads, info->width_mlp);
    if (info->frames > 1) {
        printf("    input        %u frames of %u x %u, every %u%s frame\n", info->frames,
               info->width, info->height, info->rate,
               info->rate == 1   ? "st"
               : info->rate == 2 ? "nd"
               : info->rate == 3 ? "rd"
                                 : "th");
    } else {
        printf("    input        an image of %u x %u\n", info->width, info->height);
    }
    printf("    tokens       %u of %u x %u x %u pixels", info->tokens, info->tubelet, info->patch,
           info->patch);
    if (info->prefix_tokens > 0) printf(", %u of them not patches", info->prefix_tokens);
    printf("\n    operations   %.2f GMAC a clip\n", (double)info->macs * 1e-9);
    if (shape->macs < shape->macs_dense) {
        printf("    reduced      at most %u tokens, %u after the last block, %.2f GMAC\n",
               shape->tokens_kept, shape->tokens_final, (double)shape->macs * 1e-9);
    }
    printf("    parameters   %.2f million, %.1f MB in memory\n", (double)info->parameters * 1e-6,
           (double)info->weight_bytes * 1e-6);
    printf("    labels       %u\n", info->labels);
    printf("    licence      %s\n", info->licence ? info->licence : "the directory does not say");
}

static void print_model_json(const vdt_model_info *info, const vdt_session_shape_info *shape,
                             FILE *file) {
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"frames", info->frames},
        {"tubelet", info->tubelet},
        {"rate", info->rate},
        {"height", info->height},
        {"width", info->width},
        {"patch", info->patch},
        {"tokens", info->tokens},
        {"prefix_tokens", info->prefix_tokens},
        {"hidden", info->width_model},
        {"layers", info->layers},
        {"heads", info->heads},
        {"mlp", info->width_mlp},
        {"labels", info->labels},
        {"parameters", info->parameters},
        {"weight_bytes", info->weight_bytes},
        {"macs", info->macs},
        {"tokens_kept", shape->tokens_kept},
        {"tokens_final", shape->tokens_final},
        {"macs_reduced", shape->macs},
    };
    struct json_out json;
    json_begin(&json, file);
    json_open(&json, '{');
    json_key(&json, "model");
    json_text(&json, info->name);
    json_key(&json, "family");
    json_text(&json, info->family);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        json_key(&json, numbers[i].name);
        json_integer(&json, numbers[i].value);
    }
    json_key(&json, "licence");
    json_text(&json, info->licence);
    json_close(&json, '}');
    json_end_line(&json);
}

static void print_video(const char *input, const vdt_video_info *info) {
    printf("%s\n", input);
    printf("    format       %s, %s\n", info->container, info->codec);
    printf("    picture      %u x %u", info->width, info->height);
    if (info->rotation) printf(", turned by %d degrees", info->rotation);
    printf("\n");
    if (info->frames > 0)
        printf("    frames       %llu", (unsigned long long)info->frames);
    else
        printf("    frames       unknown");
    if (info->rate > 0) printf(", %.3g a second", info->rate);
    if (info->seconds > 0) printf(", %.2f seconds", info->seconds);
    printf("\n");
    if (info->lost > 0)
        printf("    lost         %llu frames are missing or broken\n",
               (unsigned long long)info->lost);
}

static void print_video_json(const char *input, const vdt_video_info *info, FILE *file) {
    struct json_out json;
    json_begin(&json, file);
    json_open(&json, '{');
    json_key(&json, "input");
    json_text(&json, input);
    json_key(&json, "container");
    json_text(&json, info->container);
    json_key(&json, "codec");
    json_text(&json, info->codec);
    json_key(&json, "width");
    json_integer(&json, info->width);
    json_key(&json, "height");
    json_integer(&json, info->height);
    json_key(&json, "rotation");
    json_integer(&json, (uint64_t)info->rotation);
    json_key(&json, "frames");
    json_integer(&json, info->frames);
    json_key(&json, "rate");
    json_number(&json, info->rate, 9);
    json_key(&json, "seconds");
    json_number(&json, info->seconds, 9);
    json_key(&json, "lost");
    json_integer(&json, info->lost);
    json_close(&json, '}');
    json_end_line(&json);
}

// Inputs alone are described without a model.
static bool wants_model(const struct settings *settings) {
    return settings->model || settings->arch || settings->n_inputs == 0;
}

static int describe_inputs(const struct settings *settings, vdt_context *context) {
    int status = EXIT_DONE;
    for (size_t i = 0; i < settings->n_inputs; i++) {
        vdt_error error = {0};
        vdt_video_info info;
        if (vdt_video_probe(&info, context, settings->inputs[i], &error)) {
            fprintf(stderr, "vidette: %s\n", error.message);
            status = EXIT_FAILED;
        } else if (settings->json) {
            print_video_json(settings->inputs[i], &info, stdout);
        } else {
            print_video(settings->inputs[i], &info);
        }
    }
    return status;
}

// The model, and a session for what its reduction costs.
static int describe_model(const struct settings *settings, vdt_context **context,
                          vdt_model **model) {
    vdt_session *session = NULL;
    vdt_session_options options;
    vdt_error error = {0};
    if (open_model(context, model, settings, NULL, NULL)) return EXIT_FAILED;
    vdt_session_options_init(&options);
    options.height = options.width = settings->arch ? 0 : settings->size;
    struct reduction reduction;
    if (reduction_or_recommended(&reduction, &settings->reduction, *model)) return EXIT_FAILED;
    reduction_apply(&reduction, &options);
    if (vdt_session_open(&session, *model, &options, &error)) {
        fprintf(stderr, "vidette: %s\n", error.message);
        return EXIT_FAILED;
    }
    if (settings->json)
        print_model_json(vdt_model_info_get(*model), vdt_session_shape(session), stdout);
    else
        print_model(vdt_model_info_get(*model), vdt_session_shape(session));
    vdt_session_close(&session);
    return EXIT_DONE;
}

int info_run(const struct settings *settings) {
    vdt_context *context = NULL;
    vdt_model *model = NULL;
    vdt_error error = {0};
    int status = EXIT_FAILED;
    if (wants_model(settings)) {
        status = describe_model(settings, &context, &model);
    } else if (vdt_context_open(&context, NULL, &error)) {
        fprintf(stderr, "vidette: %s\n", error.message);
    } else {
        status = EXIT_DONE;
    }
    if (status == EXIT_DONE) status = describe_inputs(settings, context);
    vdt_model_close(&model);
    vdt_context_close(&context);
    return status;
}
