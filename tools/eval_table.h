// What an evaluation finds, a row a setting: quality beside cost. Printed for people, as JSON lines, as CSV and
// as a picture.
#ifndef VIDETTE_TOOLS_EVAL_TABLE_H
#define VIDETTE_TOOLS_EVAL_TABLE_H

#include <stdio.h>

#include "reduction.h"

enum eval_kind {
    EVAL_DENSE,
    EVAL_METHOD,
    EVAL_RANDOM, // RLT's control: as many tokens, drawn at random, with its method's run lengths
    EVAL_PLAIN,  // the same without run lengths, where its method has them
    EVAL_FRAMES, // as if frames were left out: whole steps in time at about the same cost; of a stream, every
                 // k-th snippet computed in full, the class token taken over in between
};

enum { EVAL_NAME = 64 };

struct eval_row {
    enum eval_kind kind;
    char values[2][EVAL_NAME]; // on the table's axes, as typed; a control has its method's
    struct reduction reduction;
    vdt_stream_options stream;
    size_t method; // of a control: the row it belongs to
    // sums over clips
    size_t n, correct, agree;
    double cosine, ms;
    uint64_t kept, total, final, macs, macs_dense;
};

struct eval_table {
    const char *model;
    bool streams;          // the settings are those of streams
    const char *axes[2];   // what the settings differ in
    struct eval_row *rows; // (n), the dense one first
    size_t n;
};

// One clip's results in a row.
struct eval_clip {
    size_t predicted, label, dense; // class ids; dense: what the dense model predicts
    double cosine;                  // of the logits and the dense model's
    double ms;                      // from bytes to logits
    uint64_t kept, total,
        final; // tokens; of a stream: that passed the gates, that stood before them, none
    uint64_t macs, macs_dense; // operations by the rule that was asked for
    uint64_t cost;             // by the plain rule: what `frames` is to match
};

void eval_add(struct eval_row *row, const struct eval_clip *clip);

// Accuracy's 95 % interval (Wilson 1927).
void eval_interval(const struct eval_row *row, double *low, double *high);

const char *eval_kind_name(enum eval_kind kind);
void eval_print_text(const struct eval_table *table, FILE *file);
void eval_print_json(const struct eval_table *table, FILE *file);
void eval_print_csv(const struct eval_table *table, FILE *file);

// SVG: accuracy with its interval, and agreement with the dense model, over the share of operations done.
void eval_plot(const struct eval_table *table, FILE *file);

#endif
