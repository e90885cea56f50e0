#include "eval_table.h"

#include <math.h>

void eval_add(struct eval_row *row, const struct eval_clip *clip) {
    row->n++;
    row->correct += clip->predicted == clip->label;
    row->agree += clip->predicted == clip->dense;
    row->cosine += clip->cosine;
    row->ms += clip->ms;
    row->kept += clip->kept;
    row->total += clip->total;
    row->final += clip->final;
    row->macs += clip->macs;
    row->macs_dense += clip->macs_dense;
}

static double share(double part, double whole) {
    return whole > 0.0 ? part / whole : 0.0;
}

void eval_interval(const struct eval_row *row, double *low, double *high) {
    const double n = (double)row->n, p = share((double)row->correct, n), z = 1.959964;
    const double centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    const double half = z * sqrt(p * (1.0 - p) / n + z * z / (4.0 * n * n)) / (1.0 + z * z / n);
    *low = row->n ? centre - half : 0.0;
    *high = row->n ? centre + half : 1.0;
}

const char *eval_kind_name(enum eval_kind kind) {
    static const char *const names[] = {"dense", "method", "random", "plain", "frames"};
    return names[kind];
}

// The numbers of a row, in the order of their names.
enum { NUMBERS = 12 };

// NULL: not of this table.
static const char *number_name(const struct eval_table *table, size_t i) {
    static const char *const names[2][NUMBERS] = {
        {"clips", "accuracy", "low", "high", "agreement", "cosine", "kept", "final", "macs_dense",
         "macs_done", "ms", "speedup"},
        {"clips", "accuracy", "low", "high", "agreement", "cosine", "updated", NULL, "macs_dense",
         "macs_done", "ms", "speedup"}};
    return names[table->streams][i];
}

static void numbers_of(double numbers[NUMBERS], const struct eval_table *table,
                       const struct eval_row *row) {
    const double n = (double)row->n;
    numbers[0] = n;
    numbers[1] = share((double)row->correct, n);
    eval_interval(row, &numbers[2], &numbers[3]);
    numbers[4] = share((double)row->agree, n);
    numbers[5] = share(row->cosine, n);
    numbers[6] = share((double)row->kept, (double)row->total);
    numbers[7] = share((double)row->final, (double)row->total);
    numbers[8] = share((double)row->macs_dense, n);
    numbers[9] = share((double)row->macs, n);
    numbers[10] = share(row->ms, n);
    numbers[11] = share(share(table->rows[0].ms, (double)table->rows[0].n), numbers[10]);
}

void eval_print_text(const struct eval_table *table, FILE *file) {
    fprintf(file, "%-7s %-13s %-9s %6s  %-20s %6s %7s %6s %8s %8s %7s\n", "", table->axes[0],
            table->axes[1], "clips", "accuracy (95 %)", "agree", "cosine", "tokens", "GMAC", "ms",
            "speedup");
    for (size_t i = 0; i < table->n; i++) {
        double x[NUMBERS];
        numbers_of(x, table, &table->rows[i]);
        fprintf(file,
                "%-7s %-13s %-9s %6.0f  %.3f (%.3f-%.3f)  %6.3f %7.4f %5.1f%% %8.3f %8.2f %6.2fx\n",
                eval_kind_name(table->rows[i].kind), table->rows[i].values[0],
                table->rows[i].values[1], x[0], x[1], x[2], x[3], x[4], x[5], 100.0 * x[6],
                x[9] * 1e-9, x[10], x[11]);
    }
}

void eval_print_json(const struct eval_table *table, FILE *file) {
    for (size_t i = 0; i < table->n; i++) {
        struct json_out json;
        double x[NUMBERS];
        numbers_of(x, table, &table->rows[i]);
        json_begin(&json, file);
        json_open(&json, '{');
        json_key(&json, "kind");
        json_text(&json, eval_kind_name(table->rows[i].kind));
        for (size_t j = 0; j < 2; j++) {
            json_key(&json, table->axes[j]);
            json_text(&json, table->rows[i].values[j]);
        }
        for (size_t j = 0; j < NUMBERS; j++) {
            if (!number_name(table, j)) continue;
            json_key(&json, number_name(table, j));
            json_number(&json, x[j], 12);
        }
        json_close(&json, '}');
        json_end_line(&json);
    }
}

void eval_print_csv(const struct eval_table *table, FILE *file) {
    fprintf(file, "kind,%s,%s", table->axes[0], table->axes[1]);
    for (size_t j = 0; j < NUMBERS; j++) {
        if (number_name(table, j)) fprintf(file, ",%s", number_name(table, j));
    }
    fprintf(file, "\n");
    for (size_t i = 0; i < table->n; i++) {
        double x[NUMBERS];
        numbers_of(x, table, &table->rows[i]);
        fprintf(file, "%s,%s,%s", eval_kind_name(table->rows[i].kind), table->rows[i].values[0],
                table->rows[i].values[1]);
        for (size_t j = 0; j < NUMBERS; j++) {
            if (number_name(table, j)) fprintf(file, ",%.12g", x[j]);
        }
        fprintf(file, "\n");
    }
}

/* ---- picture ------------------------------------------------------------------------------- */

// Two frames side by side; x is the share of operations done, 0..1, y from `floor` to 1.
enum { WIDTH = 920, HEIGHT = 380, LEFT = 60, TOP = 50, SIDE = 360, TALL = 260, GAP = 470 };

// Rows that are drawn alike, and the row that stands for them in the legend.
struct series {
    const char *name, *colour;
    struct eval_row sample;
};

enum { MOST_SERIES = 5 };
static const struct series series[2][MOST_SERIES] = {
    {{"dense", "#111111", {.kind = EVAL_DENSE}},
     {"method", "#0a7d4b", {.kind = EVAL_METHOD}},
     {"random, as many tokens", "#c0392b", {.kind = EVAL_RANDOM}},
     {"without run lengths", "#e59866", {.kind = EVAL_PLAIN}},
     {"fewer frames, same cost", "#2c6fbb", {.kind = EVAL_FRAMES}}},
    {{"dense", "#111111", {.kind = EVAL_DENSE}},
     {"exact", "#0a7d4b", {.kind = EVAL_METHOD, .stream.attention = VDT_ATTENTION_EXACT}},
     {"delta", "#c0392b", {.kind = EVAL_METHOD, .stream.attention = VDT_ATTENTION_DELTA}},
     {"tokenwise", "#d68910", {.kind = EVAL_METHOD, .stream.attention = VDT_ATTENTION_TOKENWISE}},
     {"every k-th snippet, same cost", "#2c6fbb", {.kind = EVAL_FRAMES}}}};

static const char *colour_of(const struct eval_table *table, const struct eval_row *row) {
    for (const struct series *s = series[table->streams];; s++) {
        const bool alike = !table->streams || row->kind != EVAL_METHOD ||
                           s->sample.stream.attention == row->stream.attention;
        if (s->sample.kind == row->kind && alike) return s->colour;
    }
}

static double x_of(double panel, double x) {
    return LEFT + panel * GAP + x * SIDE;
}

static double y_of(double y, double floor) {
    return TOP + (1.0 - (y - floor) / (1.0 - floor)) * TALL;
}

static void plot_frame(FILE *file, double panel, const char *title, double floor) {
    fprintf(file, "<text x=\"%.0f\" y=\"%d\" font-weight=\"bold\">%s</text>\n", x_of(panel, 0.0),
            TOP - 12, title);
    const int lines = (int)lround((1.0 - floor) * 10.0); // ten per cent apart
    for (int i = 0; i <= lines; i++) {
        const double y = floor + i / 10.0;
        fprintf(file,
                "<path d=\"M%.0f %.1fh%d\" stroke=\"#ddd\"/><text x=\"%.0f\" y=\"%.1f\" "
                "text-anchor=\"end\">%.0f %%</text>\n",
                x_of(panel, 0.0), y_of(y, floor), SIDE, x_of(panel, 0.0) - 6, y_of(y, floor) + 4,
                100.0 * y);
    }
    for (int i = 0; i <= 4; i++) {
        const double x = i / 4.0;
        fprintf(file,
                "<path d=\"M%.1f %dv%d\" stroke=\"#eee\"/><text x=\"%.1f\" y=\"%d\" "
                "text-anchor=\"middle\">%.0f %%</text>\n",
                x_of(panel, x), TOP, TALL, x_of(panel, x), TOP + TALL + 18, 100.0 * x);
    }
    fprintf(file, "<text x=\"%.0f\" y=\"%d\" text-anchor=\"middle\">operations done</text>\n",
            x_of(panel, 0.5), TOP + TALL + 36);
}

static void plot_point(FILE *file, const struct eval_table *table, const struct eval_row *row,
                       double x, double y, const char *about) {
    const char *colour = colour_of(table, row);
    const bool ring = table->streams && row->kind == EVAL_METHOD &&
                      row->stream.attention == VDT_ATTENTION_TOKENWISE; // lies over exact's
    const bool random = row->kind == EVAL_RANDOM || row->kind == EVAL_PLAIN;
    const char *fill = random ? "white" : ring ? "none" : colour;
    if (row->kind == EVAL_FRAMES)
        fprintf(file, "<path d=\"M%.1f %.1fl8 8m0-8l-8 8\" stroke=\"%s\" stroke-width=\"2\">",
                x - 4, y - 4, colour);
    else
        fprintf(file,
                "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\" stroke=\"%s\" stroke-width=\"2\" "
                "fill=\"%s\">",
                x, y, colour, fill);
    fprintf(file, "<title>%s: %s %s, %s %s, %s</title></%s>\n", eval_kind_name(row->kind),
            table->axes[0], row->values[0], table->axes[1], row->values[1], about,
            row->kind == EVAL_FRAMES ? "path" : "circle");
}

static double lowest(const struct eval_table *table, bool accuracy) {
    double least = 1.0, low, high;
    for (size_t i = 0; i < table->n; i++) {
        const struct eval_row *row = &table->rows[i];
        eval_interval(row, &low, &high);
        least = fmin(least, accuracy ? low : share((double)row->agree, (double)row->n));
    }
    return fmax(fmin(floor(least * 10.0) / 10.0, 0.9), 0.0);
}

void eval_plot(const struct eval_table *table, FILE *file) {
    const double floors[2] = {lowest(table, true), lowest(table, false)};
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
            "font-family=\"sans-serif\" font-size=\"12\" fill=\"none\">\n"
            "<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n<g fill=\"#333\">\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT);
    plot_frame(file, 0.0, "accuracy, with its 95 % interval", floors[0]);
    plot_frame(file, 1.0, "agreement with the dense model", floors[1]);
    for (size_t k = 0; k < MOST_SERIES && series[table->streams][k].name; k++) {
        const struct series *s = &series[table->streams][k];
        const double x = LEFT + 10 + (table->streams ? 150.0 : 170.0) * (double)k, y = HEIGHT - 16;
        plot_point(file, table, &s->sample, x, y, "legend");
        fprintf(file, "<text x=\"%.0f\" y=\"%.0f\">%s</text>\n", x + 10, y + 4, s->name);
    }
    fprintf(file, "</g>\n");
    for (size_t i = 0; i < table->n; i++) {
        const struct eval_row *row = &table->rows[i];
        double n[NUMBERS], x;
        char about[64];
        numbers_of(n, table, row);
        x = share(n[9], n[8]);
        fprintf(file, "<path d=\"M%.1f %.1fV%.1f\" stroke=\"%s\" opacity=\"0.35\"/>\n",
                x_of(0.0, x), y_of(n[2], floors[0]), y_of(n[3], floors[0]), colour_of(table, row));
        snprintf(about, sizeof about, "%.1f %% of %.0f", 100.0 * n[1], n[0]);
        plot_point(file, table, row, x_of(0.0, x), y_of(n[1], floors[0]), about);
        snprintf(about, sizeof about, "%.1f %% agree", 100.0 * n[4]);
        plot_point(file, table, row, x_of(1.0, x), y_of(n[4], floors[1]), about);
    }
    fprintf(file, "</svg>\n");
}
