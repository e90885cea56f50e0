// A list of labelled inputs: CSV with the columns path, label and perhaps a third that names a part (train,
// test). A first line that begins with "path," is a heading; paths are relative to the list's directory, or
// to --root.
#ifndef VIDETTE_TOOLS_EVAL_LIST_H
#define VIDETTE_TOOLS_EVAL_LIST_H

#include <vidette/vidette.h>

struct eval_list {
    char *text;         // the file
    const char **paths; // (n)
    size_t *labels;     // (n) class ids
    size_t n;
};

// Reads the rows of `part` (NULL: all). Labels are class names of the model, or ids. Returns 0, or -1 after
// a message. Free with eval_list_free in either case.
int eval_list_read(struct eval_list *list, const char *file, const char *root, const char *part,
                   const vdt_model *model);
void eval_list_free(struct eval_list *list);

#endif
