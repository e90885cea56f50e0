// Runs a fuzz target over kept inputs: files, or directories of them, given as arguments. Every
// allocation fails in turn, up to 300 of each input.
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static size_t replayed;

static void replay_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        exit(1);
    }
    const size_t n = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(n > 0 ? n : 1);
    if (!bytes || fread(bytes, 1, n, file) != n) {
        perror(path);
        exit(1);
    }
    fclose(file);
    LLVMFuzzerTestOneInput(bytes, n);
    free(bytes);
    replayed++;
}

static void replay(const char *path) {
    DIR *directory = opendir(path);
    if (!directory) {
        replay_file(path);
        return;
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char name[4096];
        if (entry->d_name[0] == '.') continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        replay_file(name);
    }
    closedir(directory);
}

int main(int argc, char **argv) {
    fuzz_failures = 300;
    for (int i = 1; i < argc; i++) replay(argv[i]);
    printf("%zu inputs\n", replayed);
    return replayed > 0 ? 0 : 1;
}
