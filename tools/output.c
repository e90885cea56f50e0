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

static char *join(const char *a, const char *b) {
    const size_t n = strlen(a), m = strlen(b);
    char *text = malloc(n + m + 1);
    if (!text) return NULL;
    memcpy(text, a, n);
    memcpy(text + n, b, m + 1);
    return text;
}

// Reads the note of an interrupted run; on success the part is cut to its whole inputs.
static bool take_up(struct output *output) {
    FILE *note = fopen(output->note, "r");
    if (!note) return false;
    unsigned long long identity, inputs, bytes;
    const bool read = fscanf(note, "{\"identity\":%llu,\"inputs\":%llu,\"bytes\":%llu}", &identity,
                             &inputs, &bytes) == 3;
    fclose(note);
    struct stat info;
    if (!read || identity != output->identity || stat(output->part, &info) != 0 ||
        (unsigned long long)info.st_size < bytes) {
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
    return true;
}

int output_open(struct output *output, const char *path, bool resume, uint64_t identity) {
    *output = (struct output){.path = path, .resume = resume, .identity = identity};
    if (!path) {
        output->file = stdout;
        return 0;
    }
    output->part = join(path, ".part");
    output->note = join(path, ".part.json");
    if (!output->part || !output->note) return complain(path, "out of memory");
    struct stat info;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        errno = EISDIR;
        return complain(path, "cannot be written");
    }
    if (resume && take_up(output)) return 0;
    output->file = fopen(output->part, "w+b");
    return output->file ? 0 : complain(path, "cannot be written");
}

int output_commit(struct output *output, size_t inputs_done) {
    if (fflush(output->file) != 0 || ferror(output->file)) {
        return complain(output->path ? output->path : "stdout", "cannot be written");
    }
    output->inputs_done = inputs_done;
    if (!output->path || !output->resume) return 0;
    FILE *note = fopen(output->note, "w");
    if (!note) return complain(output->note, "cannot be written");
    fprintf(note, "{\"identity\":%llu,\"inputs\":%zu,\"bytes\":%llu}\n",
            (unsigned long long)output->identity, inputs_done,
            (unsigned long long)ftello(output->file));
    return fclose(note) == 0 ? 0 : complain(output->note, "cannot be written");
}

static int finish(struct output *output) {
    bool written =
        fflush(output->file) == 0 && !ferror(output->file) && fsync(fileno(output->file)) == 0;
    written = fclose(output->file) == 0 && written;
    output->file = NULL;
    if (!written || rename(output->part, output->path) != 0)
        return complain(output->path, "cannot be written");
    unlink(output->note);
    return 0;
}

int output_close(struct output *output, bool keep) {
    int status = 0;
    if (output->path && output->file) {
        if (keep) status = finish(output);
        if (output->file) fclose(output->file);
        if (status != 0 || (!keep && !(output->resume && output->inputs_done > 0))) {
            unlink(output->part);
            unlink(output->note);
        }
    }
    free(output->part);
    free(output->note);
    *output = (struct output){0};
    return status;
}
