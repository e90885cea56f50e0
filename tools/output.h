// A result file that appears whole or not at all.
//
// Bytes go to FILE.part beside it, which is renamed at the end and removed on failure. With resume,
// an interrupted run keeps FILE.part and, in FILE.part.json, how many inputs it holds and for which
// command line; the same command line goes on from there. Without a path, output is stdout; a
// device or a pipe is written as it is.
#ifndef VIDETTE_TOOLS_OUTPUT_H
#define VIDETTE_TOOLS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct output {
    FILE *file;
    const char *path; // NULL: stdout
    char *part, *note;
    bool resume;
    bool direct;        // a device or a pipe: nothing to rename
    uint64_t identity;  // of the command line
    size_t inputs_done; // whole inputs in the file
    bool failed;        // one of them did
};

// path may be NULL. identity tells command lines of n_inputs inputs apart: only a part of the same
// one is gone on with. Returns 0, or -1 after a message.
int output_open(struct output *output, const char *path, bool resume, uint64_t identity,
                size_t n_inputs);

// Says, with errno's reason, that the output cannot be written. Returns -1.
int output_complain(const struct output *output);

// All results of `inputs_done` inputs are written; `failed` says whether one of them did. Returns
// 0, or -1 after a message (a full disk).
int output_commit(struct output *output, size_t inputs_done, bool failed);

// keep: give the file its name. Else it is removed, or left for a later run with resume.
// Returns 0, or -1 after a message.
int output_close(struct output *output, bool keep);

#endif
