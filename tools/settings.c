#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nearest.h"
#include "numbers.h"
#include "settings_stream.h"

/* ---- values -------------------------------------------------------------------------------- */

static bool set_threads(struct settings *s, const char *v) {
    return parse_unsigned(v, 256, &s->threads);
}

static bool set_size(struct settings *s, const char *v) {
    return parse_unsigned(v, 8192, &s->size);
}

static bool set_batch(struct settings *s, const char *v) {
    return parse_unsigned(v, 1024, &s->batch);
}

static bool set_repeats(struct settings *s, const char *v) {
    return parse_unsigned(v, 1000, &s->repeats);
}

static bool set_rate(struct settings *s, const char *v) {
    return parse_unsigned(v, 100000, &s->rate) && s->rate > 0;
}

static bool set_frames(struct settings *s, const char *v) {
    return parse_unsigned(v, 1024, &s->frames) && s->frames > 0;
}

static bool set_top(struct settings *s, const char *v) {
    return parse_unsigned(v, 100000, &s->top);
}

static bool set_model(struct settings *s, const char *v) {
    s->model = v;
    return *v != '\0';
}

static bool set_arch(struct settings *s, const char *v) {
    s->arch = v;
    return *v != '\0';
}

static bool set_output(struct settings *s, const char *v) {
    s->output = v;
    return *v != '\0';
}

static bool set_indices(struct settings *s, const char *v) {
    s->indices = v;
    return *v != '\0';
}

static bool set_sweep(struct settings *s, const char *v) {
    static const char *const axes[] = {"rlt=", "tome=", "update=", "attention="};
    bool known = false;
    for (size_t i = 0; i < sizeof axes / sizeof *axes; i++)
        known = known || strncmp(v, axes[i], strlen(axes[i])) == 0;
    if (!known || s->n_sweeps == 2 || strlen(v) > 4000) return false;
    if (s->n_sweeps == 1 && strncmp(v, s->sweeps[0], strcspn(v, "=") + 1) == 0) return false;
    s->sweeps[s->n_sweeps++] = v;
    return true;
}

static bool set_root(struct settings *s, const char *v) {
    s->root = v;
    return *v != '\0';
}

static bool set_part(struct settings *s, const char *v) {
    s->part = v;
    return *v != '\0';
}

static bool set_recommendation(struct settings *s, const char *v) {
    (void)v;
    return s->write_recommendation = true;
}

static bool set_agreement(struct settings *s, const char *v) {
    return parse_number(v, &s->min_agreement) && s->min_agreement <= 1.0;
}

static bool set_rlt(struct settings *s, const char *v) {
    return reduction_rlt(&s->reduction, v);
}

static bool set_rlt_reference(struct settings *s, const char *v) {
    return reduction_rlt_reference(&s->reduction, v);
}

static bool set_rlt_lengths(struct settings *s, const char *v) {
    return reduction_rlt_lengths(&s->reduction, v);
}

static bool set_tome(struct settings *s, const char *v) {
    return reduction_tome(&s->reduction, v);
}

static bool set_tome_attention(struct settings *s, const char *v) {
    return reduction_tome_attention(&s->reduction, v);
}

static bool set_precision(struct settings *s, const char *v) {
    for (int precision = VDT_PRECISION_AUTO; precision <= VDT_PRECISION_INT8; precision++) {
        if (strcmp(v, vdt_precision_name((vdt_precision)precision)) != 0) continue;
        s->precision = (vdt_precision)precision;
        return true;
    }
    return false;
}

static bool set_cpu(struct settings *s, const char *v) {
    static const struct {
        const char *name;
        vdt_cpu cpu;
    } names[] = {{"c", VDT_CPU_C},
                 {"avx2", VDT_CPU_AVX2},
                 {"avx512", VDT_CPU_AVX512},
                 {"avx512vnni", VDT_CPU_AVX512_VNNI},
                 {"avx512bf16", VDT_CPU_AVX512_BF16},
                 {"amx", VDT_CPU_AMX},
                 {"best", VDT_CPU_BEST}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(v, names[i].name) != 0) continue;
        s->cpu = names[i].cpu;
        return true;
    }
    return false;
}

// center | uniform | hf-pipeline | multi:KxM | slide:SECONDS
static bool set_sampling(struct settings *s, const char *v) {
    if (strcmp(v, "center") == 0)
        s->sampling = VDT_SAMPLE_CENTER;
    else if (strcmp(v, "uniform") == 0)
        s->sampling = VDT_SAMPLE_UNIFORM;
    else if (strcmp(v, "hf-pipeline") == 0)
        s->sampling = VDT_SAMPLE_HF_PIPELINE;
    else if (strncmp(v, "multi:", 6) == 0) {
        char extra;
        s->sampling = VDT_SAMPLE_MULTI;
        return sscanf(v + 6, "%3ux%1u%c", &s->views_time, &s->views_space, &extra) == 2 &&
               s->views_time >= 1 && s->views_time <= 100 &&
               (s->views_space == 1 || s->views_space == 3);
    } else if (strncmp(v, "slide:", 6) == 0) {
        s->sampling = VDT_SAMPLE_SLIDE;
        return parse_number(v + 6, &s->seconds) && s->seconds >= 1e-3 && s->seconds <= 1e6;
    } else {
        return false;
    }
    return true;
}

static bool set_pool(struct settings *s, const char *v) {
    static const struct {
        const char *name;
        vdt_pool pool;
    } names[] = {{"cls", VDT_POOL_CLASS},
                 {"mean", VDT_POOL_MEAN},
                 {"none", VDT_POOL_TOKENS},
                 {"map", VDT_POOL_MAP},
                 {"head", VDT_POOL_HEAD}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(v, names[i].name) != 0) continue;
        s->pool = names[i].pool;
        return true;
    }
    return false;
}

static bool set_layer(struct settings *s, const char *v) {
    unsigned layer = 0;
    s->layer = VDT_LAYER_LAST;
    if (strcmp(v, "last") == 0) return true;
    if (!parse_unsigned(v, 100000, &layer)) return false;
    s->layer = (int)layer;
    return true;
}

static bool set_progress(struct settings *s, const char *v) {
    s->no_progress = strcmp(v, "never") == 0;
    return s->no_progress || strcmp(v, "auto") == 0;
}

static bool set_json(struct settings *s, const char *v) {
    (void)v;
    return s->json = true;
}

static bool set_logits(struct settings *s, const char *v) {
    (void)v;
    return s->logits = true;
}

static bool set_quiet(struct settings *s, const char *v) {
    (void)v;
    return s->quiet = true;
}

static bool set_verbose(struct settings *s, const char *v) {
    (void)v;
    return s->verbose = true;
}

static bool set_resume(struct settings *s, const char *v) {
    (void)v;
    return s->resume = true;
}

/* ---- options ------------------------------------------------------------------------------- */

struct option {
    const char *name;
    char letter;          // 0: none
    const char *argument; // NULL: a flag
    enum command_bits commands;
    bool (*set)(struct settings *settings, const char *value);
    const char *expected; // of the argument, for messages
    const char *help;
};

static const struct option options[] = {
    {"model", 'm', "MODEL", FOR_ALL, set_model, "a directory",
     "Hugging Face directory (default: the small model installed with Vidette)"},
    {"arch", 0, "NAME", FOR_ALL, set_arch, "a name",
     "named geometry with seeded random weights instead of a model"},
    {"size", 0, "N", FOR_ALL, set_size, "pixels, 1..8192", "pixel side of the input"},
    {"output", 'o', "FILE", FOR_CLIPS | FOR_STREAM, set_output, "a file",
     "write results to FILE (embed: .npy, .jsonl; view: .png, .mp4, .mkv, .avi)"},
    {"pool", 0, "POOL", FOR_EMBED, set_pool, "cls, mean, none, map or head",
     "cls, mean, none, map or head (default head)"},
    {"layer", 0, "LAYER", FOR_EMBED, set_layer, "0..L or last",
     "0 (input of block 1) .. L (output of the last), or last (default)"},
    {"sampling", 0, "HOW", FOR_CLIPS, set_sampling,
     "center, uniform, hf-pipeline, multi:KxM (M 1 or 3) or slide:SECONDS",
     "center, uniform, hf-pipeline, multi:KxM or slide:SECONDS"},
    {"rate", 0, "N", FOR_CLIPS, set_rate, "frames, 1..100000",
     "stride in frames (default: the model's)"},
    {"frames", 0, "N", FOR_CLIPS, set_frames, "frames, 1..1024",
     "frames of a clip, where the model allows it"},
    {"rlt", 0, "HOW", FOR_REDUCED, set_rlt, "off, TAU >= 0, keep:K, random:K[:SEED] or even:K",
     "drop still tubelets: TAU (0.1), keep:K, random:K[:SEED], even:K"},
    {"rlt-reference", 0, "REF", FOR_REDUCED, set_rlt_reference, "run_head or previous",
     "what a tubelet is compared with: run_head (default), previous"},
    {"rlt-lengths", 0, "USE", FOR_REDUCED, set_rlt_lengths, "none, or some of bias,pool,embed",
     "how run lengths are used: none (default) or bias,pool,embed"},
    {"tome", 0, "HOW", FOR_REDUCED, set_tome, "off, R, R:INFLECTION (-1..1), R0,R1,... or P%",
     "merge similar tokens: R, R:INFLECTION, R0,R1,..., P%"},
    {"tome-attention", 0, "A", FOR_REDUCED, set_tome_attention, "auto, proportional or plain",
     "weigh keys by size: auto (default), proportional or plain"},
    {"sweep", 0, "AXIS", FOR_EVAL, set_sweep,
     "rlt=V,..., tome=V,..., update=V,... or attention=V,..., each once",
     "rlt=, tome= or update=, attention=V,V,...: all combinations"},
    {"root", 0, "DIR", FOR_EVAL, set_root, "a directory",
     "what paths are relative to (default: the list's directory)"},
    {"part", 0, "NAME", FOR_EVAL, set_part, "a name", "only rows whose third column is NAME"},
    {"write-recommendation", 0, NULL, FOR_EVAL, set_recommendation, NULL,
     "write the fastest faithful setting to MODEL/vidette.json"},
    {"min-agreement", 0, "X", FOR_EVAL, set_agreement, "0..1",
     "what is faithful: share of dense answers kept (default 0.99)"},
    {"indices", 0, "FILE", FOR_CLASSIFY, set_indices, "a file",
     "write kept tokens, run lengths and merges to FILE"},
    {"top", 0, "K", FOR_CLASSIFY | FOR_STREAM, set_top, "a number", "classes to name (default 5)"},
    {"logits", 0, NULL, FOR_CLASSIFY | FOR_STREAM, set_logits, NULL,
     "put all logits into the JSON"},
    {"json", 0, NULL, FOR_ALL, set_json, NULL, "one JSON object a line on stdout"},
    {"precision", 0, "P", FOR_ALL, set_precision, "auto, f32, bf16 or int8",
     "auto (bf16 where the CPU can), f32, bf16 or int8"},
    {"threads", 0, "N", FOR_ALL, set_threads, "0..256", "threads that compute (default 0: all)"},
    {"batch", 0, "N", FOR_BATCH, set_batch, "clips, 0..1024",
     "most clips packed into a call (default 0: by their size)"},
    {"repeats", 0, "N", FOR_BENCH, set_repeats, "runs, 0..1000",
     "timed runs (default 0: five seconds, at least 5)"},
    {"cpu", 0, "SET", FOR_ALL, set_cpu, "c, avx2, avx512, avx512vnni, avx512bf16, amx or best",
     "highest instruction set to use (default best)"},
    {"update", 0, "WHICH", FOR_UPDATE, set_update, "top:R, fraction:F, threshold:H or all",
     "tokens a stream recomputes: top:R, fraction:F, threshold:H or all"},
    {"budget", 0, "MS", FOR_STREAM | FOR_VIEW, set_budget, "milliseconds > 0",
     "recompute as many tokens as the deadline allows"},
    {"floor", 0, "X", FOR_UPDATE, set_floor, "a number >= 0",
     "errors at or below X never count (default 0)"},
    {"still", 0, "TAU", FOR_UPDATE, set_still, "off, auto or a number >= 0",
     "pixel test before block 1: off, auto or TAU (default 0)"},
    {"max-wait", 0, "N", FOR_UPDATE, set_max_wait, "steps",
     "serve a changed token after N steps at the latest (default 30)"},
    {"attention", 0, "MODE", FOR_UPDATE, set_attention, "exact, delta or tokenwise",
     "exact (default), delta (the paper's) or tokenwise"},
    {"macs", 0, "RULE", FOR_LISTS | FOR_STREAM | FOR_BENCH, set_macs, "plain or eventful",
     "how operations are counted: plain (default) or eventful"},
    {"realtime", 0, NULL, FOR_STREAM, set_realtime, NULL,
     "go on with the newest frame when late, count the dropped"},
    {"state", 0, "FILE", FOR_STREAM, set_state, "a file",
     "go on from this snapshot if it is there, write it at the end"},
    {"stream", 0, NULL, FOR_BENCH, set_stream, NULL,
     "time the steps of a stream (with --update) against dense ones"},
    {"moving", 0, "F", FOR_BENCH, set_moving, "0 < F <= 1",
     "share of the patches that change in a frame of --stream (default 1)"},
    {"resume", 0, NULL, FOR_LISTS, set_resume, NULL,
     "keep finished results when interrupted, go on from them"},
    {"progress", 0, "WHEN", FOR_CLIPS, set_progress, "auto or never",
     "bars on stderr: auto or never"},
    {"quiet", 'q', NULL, FOR_ALL, set_quiet, NULL, "results and errors only"},
    {"verbose", 'v', NULL, FOR_ALL, set_verbose, NULL, "say what runs where"},
};
enum { OPTIONS = sizeof options / sizeof *options };

static const struct option *find_option(const struct command *command, const char *name,
                                        size_t length) {
    for (size_t i = 0; i < OPTIONS; i++) {
        const bool same =
            strlen(options[i].name) == length && memcmp(options[i].name, name, length) == 0;
        if (same && (options[i].commands & command->bit)) return &options[i];
    }
    return NULL;
}

static const struct option *find_letter(const struct command *command, char letter) {
    for (size_t i = 0; i < OPTIONS; i++) {
        if (options[i].letter == letter && (options[i].commands & command->bit)) return &options[i];
    }
    return NULL;
}

/* ---- messages ------------------------------------------------------------------------------ */

static int unknown_option(const struct command *command, const char *argument) {
    const char *names[OPTIONS + 1];
    char word[32];
    size_t n = 0;
    for (size_t i = 0; i < OPTIONS; i++) {
        if (options[i].commands & command->bit) names[n++] = options[i].name;
    }
    names[n] = NULL;
    const size_t length = strcspn(argument + 2, "=");
    snprintf(word, sizeof word, "%.*s", (int)length,
             argument[1] == '-' ? argument + 2 : argument + 1);
    const char *near = nearest_name(word, names);
    fprintf(stderr, "vidette: %s: unknown option%s%s (vidette %s --help lists them)\n", argument,
            near ? ", did you mean --" : "", near ? near : "", command->name);
    return EXIT_USAGE;
}

void settings_help(const struct command *command) {
    printf("%s\n\n    vidette %s %s\n\nExample\n    %s\n\nOptions\n", command->summary,
           command->name, command->arguments, command->example);
    for (size_t i = 0; i < OPTIONS; i++) {
        if (!(options[i].commands & command->bit)) continue;
        char left[40];
        snprintf(left, sizeof left, "%s%c%s--%s%s%s", options[i].letter ? "-" : " ",
                 options[i].letter ? options[i].letter : ' ', options[i].letter ? ", " : "  ",
                 options[i].name, options[i].argument ? " " : "",
                 options[i].argument ? options[i].argument : "");
        printf("    %-22s %s\n", left, options[i].help);
    }
    printf("    %-22s %s\n", "    --help", "this page");
}

/* ---- parsing ------------------------------------------------------------------------------- */

static int set_option(struct settings *settings, const struct option *option, const char *value) {
    if (option->set(settings, value)) return EXIT_DONE;
    fprintf(stderr, "vidette: --%s: expected %s, found '%s'\n", option->name, option->expected,
            value);
    return EXIT_USAGE;
}

// One option at argv[*i], which may take the next argument too.
static int parse_option(struct settings *settings, const struct command *command, int argc,
                        char **argv, int *i) {
    const char *argument = argv[*i], *value = NULL;
    const struct option *option;
    if (argument[1] == '-') {
        const size_t length = strcspn(argument + 2, "=");
        option = find_option(command, argument + 2, length);
        if (argument[2 + length] == '=') value = argument + 3 + length;
    } else {
        option = find_letter(command, argument[1]);
        if (argument[2]) value = argument + 2;
    }
    if (!option) return unknown_option(command, argument);
    if (!option->argument && value) {
        fprintf(stderr, "vidette: --%s: takes no value, found '%s'\n", option->name, value);
        return EXIT_USAGE;
    }
    if (option->argument && !value) {
        if (*i + 1 >= argc) {
            fprintf(stderr, "vidette: --%s: expected %s, found nothing\n", option->name,
                    option->expected);
            return EXIT_USAGE;
        }
        value = argv[++*i];
    }
    return set_option(settings, option, value);
}

int settings_parse(struct settings *settings, const struct command *command, int argc, char **argv,
                   bool *done) {
    vdt_session_options defaults;
    vdt_session_options_init(&defaults);
    *settings = (struct settings){.top = 5,
                                  .stream = defaults.stream,
                                  .views_time = 1,
                                  .views_space = 1,
                                  .seconds = 1.0,
                                  .moving = 1.0,
                                  .min_agreement = 0.99,
                                  .cpu = VDT_CPU_BEST,
                                  .pool = VDT_POOL_HEAD,
                                  .layer = VDT_LAYER_LAST};
    *done = false;
    reduction_init(&settings->reduction);
    settings->inputs = calloc((size_t)argc + 1, sizeof *settings->inputs);
    if (!settings->inputs) return EXIT_FAILED;
    bool options_end = false;
    for (int i = 0; i < argc; i++) {
        const char *argument = argv[i];
        if (options_end || argument[0] != '-' || argument[1] == '\0') {
            settings->inputs[settings->n_inputs++] = argument;
        } else if (strcmp(argument, "--") == 0) {
            options_end = true;
        } else if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
            settings_help(command);
            *done = true;
            return EXIT_DONE;
        } else {
            const int status = parse_option(settings, command, argc, argv, &i);
            if (status != EXIT_DONE) return status;
        }
    }
    if (settings->model && settings->arch) {
        fprintf(stderr,
                "vidette: --arch: expected either a model or an architecture, found both\n");
        return EXIT_USAGE;
    }
    return EXIT_DONE;
}
