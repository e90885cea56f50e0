// The rows of an evaluation: every setting of a sweep, each followed by its controls. The settings are of clips (rlt,
// tome) or, for models of snippets, of streams (update, attention).
#ifndef VIDETTE_TOOLS_EVAL_ROWS_H
#define VIDETTE_TOOLS_EVAL_ROWS_H

#include "eval_table.h"
#include "settings.h"

enum { EVAL_MOST_ROWS = 512 }; // beside the dense one

// Whether what was typed has settings of streams; of clips.
bool eval_of_streams(const struct settings *settings);
bool eval_of_clips(const struct settings *settings);

// Fills the table's axes and rows, which the caller frees, for clips of this shape. -1, said on stderr, where a
// setting cannot be read.
int eval_make_rows(struct eval_table *table, const struct settings *settings,
                   const vdt_session_shape_info *shape);

#endif
