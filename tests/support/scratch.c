#include "scratch.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 1024 };

static char directory[64];
static pid_t owner; // a forked child must not remove it

static void stop(const char *path, const char *what) {
    fprintf(stderr, "%s: %s: %s\n", path, what, strerror(errno));
    exit(1);
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *walk) {
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

static void remove_directory(void) {
    if (getpid() == owner) nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_directory(void) {
    snprintf(directory, sizeof directory, "/tmp/vidette-test-XXXXXX");
    if (!mkdtemp(directory)) stop(directory, "no directory");
    owner = getpid();
    if (atexit(remove_directory) != 0) stop(directory, "atexit");
}

const char *scratch_path(const char *name) {
    static char paths[16][PATH_BYTES];
    static size_t next;
    if (!directory[0]) make_directory();
    char *path = paths[next++ % (sizeof paths / sizeof *paths)];
    snprintf(path, PATH_BYTES, "%s/%s", directory, name);
    return path;
}

void scratch_write(const char *path, const void *bytes, size_t n) {
    FILE *file = fopen(path, "wb");
    if (!file) stop(path, "cannot be opened");
    if (n > 0 && fwrite(bytes, 1, n, file) != n) stop(path, "cannot be written");
    if (fclose(file) != 0) stop(path, "cannot be written");
}

uint8_t *scratch_read(const char *path, size_t *n) {
    struct stat info;
    if (stat(path, &info) != 0) stop(path, "cannot be read");
    FILE *file = fopen(path, "rb");
    if (!file) stop(path, "cannot be opened");
    *n = (size_t)info.st_size;
    uint8_t *bytes = malloc(*n > 0 ? *n : 1);
    if (!bytes || fread(bytes, 1, *n, file) != *n) stop(path, "cannot be read");
    fclose(file);
    return bytes;
}

const char *scratch_copy_directory(const char *name, const char *from) {
    const char *to = scratch_path(name);
    if (mkdir(to, 0777) != 0 && errno != EEXIST) stop(to, "no directory");
    DIR *list = opendir(from);
    if (!list) stop(from, "cannot be opened");
    for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        char source[2 * PATH_BYTES], target[2 * PATH_BYTES];
        size_t n;
        snprintf(source, sizeof source, "%s/%s", from, entry->d_name);
        snprintf(target, sizeof target, "%s/%s", to, entry->d_name);
        uint8_t *bytes = scratch_read(source, &n);
        scratch_write(target, bytes, n);
        free(bytes);
    }
    closedir(list);
    return to;
}
