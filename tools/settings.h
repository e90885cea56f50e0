// What users typed: one struct for all commands, filled from one table of options.
#ifndef VIDETTE_TOOLS_SETTINGS_H
#define VIDETTE_TOOLS_SETTINGS_H

#include <stdbool.h>

#include "reduction.h"

enum exit_status { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct settings {
    // model
    const char *model; // a directory; NULL: the installed one
    const char *arch;  // a named geometry instead; may be NULL
    unsigned size;     // pixel side, 0: the model's
    // machine
    vdt_precision precision;
    unsigned threads;
    vdt_cpu cpu;
    unsigned batch;   // clips packed a call, 0: by the number of tokens
    unsigned repeats; // bench, 0: by time
    // video
    vdt_sampling_kind sampling;
    unsigned views_time, views_space;
    double seconds;
    unsigned rate, frames;
    struct reduction reduction;
    // output
    bool json, logits, quiet, verbose, resume, no_progress;
    unsigned top;
    const char *output, *indices;
    // eval
    const char *root, *part;
    const char *sweeps[2]; // (n_sweeps) rlt=..., tome=... or update=..., attention=...
    size_t n_sweeps;
    bool write_recommendation;
    double min_agreement;
    vdt_pool pool;
    int layer;
    // streams
    vdt_stream_options stream;
    const char *stream_texts[2]; // --update and --attention as typed; NULL: not given
    double budget_ms;            // 0: none
    bool realtime, macs_eventful, bench_stream;
    double moving;     // share of the patches that change in a frame of bench --stream
    const char *state; // file of a snapshot; may be NULL
    // inputs
    const char **inputs; // (n_inputs), into argv
    size_t n_inputs;
};

// Commands as bits, to say which of them an option belongs to.
enum command_bits {
    FOR_CLASSIFY = 1,
    FOR_EMBED = 2,
    FOR_INFO = 4,
    FOR_BENCH = 8,
    FOR_EVAL = 16,
    FOR_VIEW = 32,
    FOR_STREAM = 64,
    FOR_READING = FOR_CLASSIFY | FOR_EMBED, // those that read inputs through a pipeline
    FOR_BATCH = FOR_READING | FOR_BENCH,
    FOR_LISTS = FOR_READING | FOR_EVAL,
    FOR_CLIPS = FOR_LISTS | FOR_VIEW,
    FOR_UPDATE = FOR_STREAM | FOR_EMBED | FOR_VIEW | FOR_BENCH | FOR_EVAL,
    FOR_REDUCED = FOR_CLIPS | FOR_INFO | FOR_BENCH, // RLT and ToMe
    FOR_ALL = FOR_REDUCED | FOR_STREAM,
};

struct command {
    const char *name;
    enum command_bits bit;
    const char *arguments; // after the name, for the usage line
    const char *summary;   // one line
    const char *example;   // a whole command line
    int (*run)(const struct settings *settings);
};

// The commands, ended by a NULL name.
extern const struct command commands[];

// Fills settings from the arguments after the command's name. Returns EXIT_DONE to go on; else an
// exit status, after a message (or the help) was printed. inputs must be freed.
int settings_parse(struct settings *settings, const struct command *command, int argc, char **argv,
                   bool *done);

// One screen of help.
void settings_help(const struct command *command);

#endif
