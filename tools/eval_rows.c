#include "eval_rows.h"

#include <stdlib.h>
#include <string.h>

#include "settings_stream.h"

// What settings of clips and of streams differ in.
static const char *const axes[2][2] = {{"rlt", "tome"}, {"update", "attention"}};

struct making {
    struct eval_table *table;
    const struct settings *settings;
    const vdt_session_shape_info *shape;
};

/* ---- what was typed ------------------------------------------------------------------------ */

static bool is_named(const char *sweep, const char *axis) {
    const size_t length = strlen(axis);
    return strncmp(sweep, axis, length) == 0 && sweep[length] == '=';
}

static bool sweeps(const struct settings *s, bool streams) {
    bool found = false;
    for (size_t i = 0; i < s->n_sweeps; i++)
        found = found || is_named(s->sweeps[i], axes[streams][0]) ||
                is_named(s->sweeps[i], axes[streams][1]);
    return found;
}

bool eval_of_streams(const struct settings *s) {
    return s->stream_texts[0] || s->stream_texts[1] || sweeps(s, true);
}

bool eval_of_clips(const struct settings *s) {
    return reduction_is_on(&s->reduction) || sweeps(s, false);
}

/* ---- rows ---------------------------------------------------------------------------------- */

// The values of a setting on both axes, as the options of these names read them.
static bool read_values(const struct making *m, struct eval_row *row, const char *const values[2]) {
    struct settings typed = *m->settings;
    row->reduction = typed.reduction;
    if (!m->table->streams)
        return reduction_rlt(&row->reduction, values[0]) &&
               reduction_tome(&row->reduction, values[1]);
    if (row->kind != EVAL_DENSE &&
        !(set_update(&typed, values[0]) && set_attention(&typed, values[1])))
        return false;
    row->stream = typed.stream;
    return true;
}

static struct eval_row *add_row(struct making *m, enum eval_kind kind, const char *first,
                                const char *second) {
    struct eval_row *row = &m->table->rows[m->table->n];
    const char *const values[2] = {first, second}, *const *names = m->table->axes;
    *row = (struct eval_row){.kind = kind, .method = m->table->n};
    for (size_t i = 0; i < 2; i++) snprintf(row->values[i], sizeof row->values[i], "%s", values[i]);
    if (!read_values(m, row, values)) {
        fprintf(stderr, "vidette: --sweep: expected %s=VALUES and %s=VALUES, found %s %s, %s %s\n",
                names[0], names[1], names[0], first, names[1], second);
        return NULL;
    }
    m->table->n++;
    return row;
}

// A stream's setting and its control: every k-th snippet, dense.
static int add_stream(struct making *m, const char *update, const char *attention) {
    const size_t method = m->table->n;
    if (!add_row(m, EVAL_METHOD, update, attention)) return -1;
    struct eval_row *control = add_row(m, EVAL_FRAMES, update, attention);
    if (!control) return -1;
    control->method = method;
    control->stream.update = VDT_UPDATE_ALL;
    control->stream.attention = VDT_ATTENTION_TOKENWISE;
    control->stream.still = VDT_STILL_OFF;
    return 0;
}

// A method and its controls: random (with run lengths and, where the method has them, without) and frames for
// clips that RLT cuts, frames for clips that are merged.
static int add_method(struct making *m, const char *rlt, const char *tome) {
    if (m->table->n + 4 > EVAL_MOST_ROWS) {
        fprintf(stderr, "vidette: --sweep: expected at most %d settings\n", EVAL_MOST_ROWS / 4);
        return -1;
    }
    if (m->table->streams) return add_stream(m, rlt, tome);
    const size_t method = m->table->n;
    const struct eval_row *row = add_row(m, EVAL_METHOD, rlt, tome);
    if (!row) return -1;
    const vdt_tome_options *merging = &row->reduction.tome;
    const bool merges = merging->mode != VDT_TOME_OFF && strcmp(tome, "0") != 0;
    if (!merges && row->reduction.rlt.mode == VDT_RLT_OFF) { // that is the dense row
        m->table->n--;
        return 0;
    }
    const bool drops = row->reduction.rlt.mode != VDT_RLT_OFF;
    for (int kind = EVAL_RANDOM; kind <= EVAL_FRAMES && m->shape->frames > 1; kind++) {
        if (kind != EVAL_FRAMES && !drops) continue;
        if (kind == EVAL_PLAIN && row->reduction.rlt.lengths == 0) continue;
        struct eval_row *control = add_row(m, (enum eval_kind)kind, rlt, tome);
        if (!control) return -1;
        control->method = method;
        if (kind == EVAL_PLAIN) control->reduction.rlt.lengths = 0;
        control->reduction.rlt.keep = m->shape->tokens;
        control->reduction.rlt.mode = kind == EVAL_FRAMES ? VDT_RLT_EVEN : VDT_RLT_RANDOM;
        if (kind == EVAL_FRAMES) control->reduction.tome.mode = VDT_TOME_OFF;
    }
    return 0;
}

// Values of a sweep, cut at commas into `texts`, which point into `copy`.
static size_t split(char *copy, const char *values, const char *texts[EVAL_MOST_ROWS]) {
    size_t n = 0;
    snprintf(copy, 4096, "%s", values);
    for (char *at = copy; at && n < EVAL_MOST_ROWS; n++) {
        texts[n] = at;
        at = strchr(at, ',');
        if (at) *at++ = '\0';
    }
    return n;
}

int eval_make_rows(struct eval_table *table, const struct settings *s,
                   const vdt_session_shape_info *shape) {
    static char copies[2][4096];
    static const char *texts[2][EVAL_MOST_ROWS];
    struct making making = {table, s, shape}, *m = &making;
    const char *const *reduction = s->reduction.texts, *const *stream = s->stream_texts;
    const char *values[2] = {reduction[0] ? reduction[0] : "off",
                             reduction[3] ? reduction[3] : "off"};
    size_t n[2];
    table->streams = eval_of_streams(s);
    for (size_t i = 0; i < 2; i++) table->axes[i] = axes[table->streams][i];
    if (table->streams) {
        values[0] = stream[0] ? stream[0] : "threshold:0";
        values[1] = stream[1] ? stream[1] : "exact";
    }
    for (size_t i = 0; i < s->n_sweeps; i++) {
        const bool second = is_named(s->sweeps[i], table->axes[1]);
        values[second] = strchr(s->sweeps[i], '=') + 1;
    }
    for (size_t i = 0; i < 2; i++) n[i] = split(copies[i], values[i], texts[i]);
    table->rows = calloc(EVAL_MOST_ROWS + 1, sizeof *table->rows);
    if (!table->rows || !add_row(m, EVAL_DENSE, "off", "off")) return -1;
    for (size_t i = 0; i < n[0] * n[1]; i++) {
        if (add_method(m, texts[0][i / n[1]], texts[1][i % n[1]])) return -1;
    }
    return 0;
}
