#include "output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int complain(const char *path, const char *what) {
    fprintf(stderr, "vidette: %s: %s: %s\n", path, what, strerror(errno));
    return -1;
}

int output_complain(const struct output *output) {
    return complain(output->path ? output->path : "stdout", "cannot be written");
}

static char *join(const char *a, const char *b) {
    const size_t n = strlen(a), m = strlen(b);
    char *text = malloc(n + m + 1);
    if (!text) return NULL;
    memcpy(text, a, n);
    memcpy(text + n, b, m + 1);
    return text;
}

static const char note_format[] =
    "{\"identity\":%llu,\"inputs\":%llu,\"bytes\":%llu,\"failed\":%d}\n";

// Reads the note of an interrupted run; on success the part is cut to its whole inputs.
static bool take_up(struct output *output, size_t n_inputs) {
    FILE *note = fopen(output->note, "r");
    if (!note) return false;
    unsigned long long identity, inputs, bytes;
    int failed;
    const bool read = fscanf(note, note_format, &identity, &inputs, &bytes, &failed) == 4;
    fclose(note);
    struct stat info;
    if (!read || identity != output->identity || inputs > n_inputs ||
        stat(output->part, &info) != 0 || (unsigned long long)info.st_size < bytes) {
        return false;
    }
    output->file = fopen(output->part, "r+b");
    if (!output->file) return false;
    if (ftruncate(fileno(output->file), (off_t)bytes) != 0 ||
        fseeko(output->file, 0, SEEK_END) != 0) {
        fclose(output->file);
        output->file = NULL;
        return false;
    }
    output->inputs_done = (size_t)inputs;
    output->failed = failed != 0;
    return true;
}

int output_open(struct output *output, const char *path, bool resume, uint64_t identity,
                size_t n_inputs) {
    *output = (struct output){.path = path, .resume = resume, .identity = identity};
    if (!path) {
        output->file = stdout;
        return 0;
    }
    struct stat info;
    const bool exists = stat(path, &info) == 0;
    if (exists && S_ISDIR(info.st_mode)) {
        errno = EISDIR;
        return complain(path, "cannot be written");
    }
    output->direct = exists && !S_ISREG(info.st_mode);
    output->part = join(path, output->direct ? "" : ".part");
    output->note = join(path, ".part.json");
    if (!output->part || !output->note) return complain(path, "out of memory");
    if (resume && !output->direct && take_up(output, n_inputs)) return 0;
    output->file = fopen(output->part, output->direct ? "wb" : "w+b");
    return output->file ? 0 : complain(path, "cannot be written");
}

int output_commit(struct output *output, size_t inputs_done, bool failed) {
    if (fflush(output->file) != 0 || ferror(output->file)) return output_complain(output);
    output->inputs_done = inputs_done;
    output->failed = failed;
    if (!output->path || !output->resume || output->direct) return 0;
    FILE *note = fopen(output->note, "w");
    if (!note) return complain(output->note, "cannot be written");
    fprintf(note, note_format, (unsigned long long)output->identity,
            (unsigned long long)inputs_done, (unsigned long long)ftello(output->file),
            failed ? 1 : 0);
    return fclose(note) == 0 ? 0 : complain(output->note, "cannot be written");
}

// Everything on disk and under its name.
static int finish(struct output *output) {
    bool written = fflush(output->file) == 0 && !ferror(output->file);
    if (!output->direct) written = written && fsync(fileno(output->file)) == 0;
    written = fclose(output->file) == 0 && written;
    output->file = NULL;
    if (written && !output->direct) written = rename(output->part, output->path) == 0;
    if (!written) return output_complain(output);
    if (!output->direct) unlink(output->note);
    return 0;
}

int output_close(struct output *output, bool keep) {
    int status = 0;
    if (output->path && output->file) {
        if (keep) status = finish(output);
        if (output->file) fclose(output->file);
        const bool later = !keep && output->resume && output->inputs_done > 0;
        if (!output->direct && !later && (!keep || status != 0)) {
            unlink(output->part);
            unlink(output->note);
        }
    }
    free(output->part);
    free(output->note);
    *output = (struct output){0};
    return status;
}
