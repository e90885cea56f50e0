#include "eval_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *read_text(const char *file) {
    enum { MOST_BYTES = 64 << 20 };
    FILE *in = fopen(file, "rb");
    char *text = in ? malloc(MOST_BYTES + 1) : NULL;
    const size_t n = text ? fread(text, 1, MOST_BYTES + 1, in) : 0;
    if (!text || ferror(in) || n > MOST_BYTES) {
        fprintf(stderr, "vidette: %s: expected a list of at most 64 MiB, found %s\n", file,
                !in ? strerror(errno) : "a larger one, or none");
        free(text);
        text = NULL;
    } else {
        text[n] = '\0';
    }
    if (in) fclose(in);
    return text;
}

static int find_label(size_t *id, const vdt_model *model, const char *name) {
    const size_t labels = vdt_model_info_get(model)->labels;
    char *end;
    for (*id = 0; *id < labels; ++*id) {
        if (strcmp(vdt_model_label(model, *id), name) == 0) return 0;
    }
    *id = (size_t)strtoull(name, &end, 10);
    return name[0] >= '0' && name[0] <= '9' && *end == '\0' && *id < labels ? 0 : -1;
}

static char *join(const char *root, size_t root_bytes, const char *path) {
    const size_t n = path[0] == '/' ? 0 : root_bytes;
    char *joined = malloc(n + strlen(path) + 2);
    if (joined) sprintf(joined, "%.*s%s%s", (int)n, root, n > 0 ? "/" : "", path);
    return joined;
}

// Cuts a line at its commas; returns how many of three columns it has.
static size_t cut(char *line, char *columns[3]) {
    size_t n = 0;
    for (char *at = line; n < 3; at++) {
        columns[n++] = at;
        at = strchr(at, ',');
        if (!at) break;
        *at = '\0';
    }
    return n;
}

static int add_row(struct eval_list *list, char *line, size_t number, const char *file,
                   const char *root, const char *part, const vdt_model *model) {
    char *columns[3] = {NULL};
    const size_t n = cut(line, columns);
    if (n < 2) {
        fprintf(stderr, "vidette: %s: line %zu: expected path,label, found '%s'\n", file, number,
                line);
        return -1;
    }
    if (part && (n < 3 || strcmp(columns[2], part) != 0)) return 0;
    if (find_label(&list->labels[list->n], model, columns[1])) {
        fprintf(stderr, "vidette: %s: line %zu: expected a label of the model, found '%s'\n", file,
                number, columns[1]);
        return -1;
    }
    const char *slash = strrchr(file, '/');
    const char *base = root ? root : slash ? file : ".";
    const size_t base_bytes = root || !slash ? strlen(base) : (size_t)(slash - file);
    char *path = join(base, base_bytes, columns[0]);
    if (!path) return -1;
    list->paths[list->n++] = path;
    return 0;
}

int eval_list_read(struct eval_list *list, const char *file, const char *root, const char *part,
                   const vdt_model *model) {
    size_t lines = 1, number = 0;
    *list = (struct eval_list){.text = read_text(file)};
    if (!list->text) return -1;
    for (const char *at = list->text; *at; at++) lines += *at == '\n';
    list->paths = calloc(lines, sizeof *list->paths);
    list->labels = calloc(lines, sizeof *list->labels);
    int status = list->paths && list->labels ? 0 : -1;
    for (char *line = list->text, *end; !status && line; line = end) {
        end = strchr(line, '\n');
        if (end) *end++ = '\0';
        line[strcspn(line, "\r")] = '\0';
        number++;
        if (*line == '\0' || (number == 1 && strncmp(line, "path,", 5) == 0)) continue;
        status = add_row(list, line, number, file, root, part, model);
    }
    if (!status && list->n == 0) {
        fprintf(stderr, "vidette: %s: expected rows of path,label%s%s, found none\n", file,
                part ? " of the part " : "", part ? part : "");
        status = -1;
    }
    return status;
}

void eval_list_free(struct eval_list *list) {
    for (size_t i = 0; i < list->n; i++) free((char *)(uintptr_t)list->paths[i]);
    free(list->paths);
    free(list->labels);
    free(list->text);
    *list = (struct eval_list){0};
}
