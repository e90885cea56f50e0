#include "core/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int io_map(struct mapping *mapping, const char *path, vdt_error *error) {
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return status_fail(error, VDT_ERROR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    struct stat info;
    int status = VDT_OK;
    struct mapping opened = {0};
    if (fstat(file, &info) != 0) {
        status = status_fail(error, VDT_ERROR_IO, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(info.st_mode)) {
        status = status_fail(error, VDT_ERROR_IO, "%s: expected a file, found %s", path,
                             S_ISDIR(info.st_mode) ? "a directory" : "a device or pipe");
    } else if (info.st_size > 0) {
        opened.bytes = (size_t)info.st_size;
        void *data = mmap(NULL, opened.bytes, PROT_READ, MAP_PRIVATE, file, 0);
        if (data == MAP_FAILED) {
            status =
                status_fail(error, VDT_ERROR_IO, "%s: cannot be mapped: %s", path, strerror(errno));
        } else {
            opened.data = data;
        }
    }
    close(file);
    if (status == VDT_OK) *mapping = opened;
    return status;
}

void io_unmap(struct mapping *mapping) {
    if (mapping->data) munmap((void *)(uintptr_t)mapping->data, mapping->bytes);
    *mapping = (struct mapping){0};
}

void io_release(const void *pointer, size_t bytes) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t begin = ((uintptr_t)pointer + page - 1) / page * page;
    const uintptr_t end = ((uintptr_t)pointer + bytes) / page * page;
    if (end > begin) madvise((void *)begin, end - begin, MADV_DONTNEED);
}

static bool has_mode(const char *path, mode_t type) {
    struct stat info;
    return stat(path, &info) == 0 && (info.st_mode & S_IFMT) == type;
}

bool io_is_file(const char *path) {
    return has_mode(path, S_IFREG);
}

bool io_is_directory(const char *path) {
    return has_mode(path, S_IFDIR);
}

int io_join(char *path, size_t path_bytes, const char *directory, const char *name,
            vdt_error *error) {
    const int n = snprintf(path, path_bytes, "%s/%s", directory, name);
    if (n < 0 || (size_t)n >= path_bytes) {
        return status_fail(error, VDT_ERROR_IO, "%.200s...: the path is longer than %zu bytes",
                           directory, path_bytes - 1);
    }
    return VDT_OK;
}

void io_base_name(const char *path, size_t *offset, size_t *length) {
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/') end--;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/') begin--;
    *offset = begin;
    *length = end - begin;
}
