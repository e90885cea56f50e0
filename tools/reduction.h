// Reduction as it is typed and as it is told: --rlt, --tome and theirs; the counts of tokens in JSON.
#ifndef VIDETTE_TOOLS_REDUCTION_H
#define VIDETTE_TOOLS_REDUCTION_H

#include <stdbool.h>
#include <vidette/vidette.h>

#include "json_out.h"

enum { REDUCTION_LIST = 512 }; // most blocks a list of --tome can name

struct reduction {
    vdt_rlt_options rlt;
    vdt_tome_options tome;
    uint32_t list[REDUCTION_LIST]; // tome.list
    const char *texts[5];          // as typed, to tell command lines apart; NULL: not given
};

void reduction_init(struct reduction *reduction);

// Each reads one option's value and returns false where it is none.
bool reduction_rlt(struct reduction *reduction,
                   const char *text); // off | TAU | keep:K | random:K[:SEED] | even:K
bool reduction_rlt_reference(struct reduction *reduction, const char *text);
bool reduction_rlt_lengths(struct reduction *reduction, const char *text); // none | bias,pool,embed
bool reduction_tome(struct reduction *reduction,
                    const char *text); // off | R | R:INFLECTION | R0,R1,... | P%
bool reduction_tome_attention(struct reduction *reduction, const char *text);

// What was typed, or, where nothing of it was, what the model's directory recommends. Returns 0, or -1 after
// a message where the recommendation cannot be read.
int reduction_or_recommended(struct reduction *out, const struct reduction *typed,
                             const vdt_model *model);

bool reduction_is_on(const struct reduction *reduction);

// Sets the options of a session.
void reduction_apply(const struct reduction *reduction, vdt_session_options *options);

// Token counts of a clip, summed over its views.
struct token_counts {
    uint64_t total, kept;
    uint64_t macs, macs_dense, macs_eventful, macs_eventful_dense;
    uint32_t n_layers;
    uint64_t layers[REDUCTION_LIST]; // (n_layers)
};

void token_counts_add(struct token_counts *counts, const vdt_tokens *tokens);

// "tokens":{...},"macs":{...}, operations by the plain rule or that of the Eventful paper
void token_counts_print(struct json_out *json, const struct token_counts *counts, bool eventful);

// The members of a line of --indices: "kept", "lengths", "source", "tokens_left".
void reduction_print_indices(struct json_out *json, const vdt_tokens *tokens);

#endif
