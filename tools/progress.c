#include "progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

double progress_now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
}

void progress_start(struct progress *progress, bool wanted, size_t total, size_t skipped) {
    *progress = (struct progress){.shown = wanted && isatty(STDERR_FILENO),
                                  .total = total,
                                  .start_ms = progress_now_ms(),
                                  .skipped = (double)skipped};
}

void progress_update(struct progress *progress, double done) {
    enum { WIDTH = 24, REDRAW_MS = 100, PATIENCE_MS = 500 };
    const double now = progress_now_ms(), elapsed = (now - progress->start_ms) * 1e-3;
    if (!progress->shown || now - progress->last_ms < REDRAW_MS ||
        now - progress->start_ms < PATIENCE_MS)
        return;
    progress->last_ms = now;
    const double total = (double)progress->total, fresh = done - progress->skipped;
    const int filled = total > 0 ? (int)(WIDTH * done / total) : 0;
    fputs("\r[", stderr);
    for (int i = 0; i < WIDTH; i++) fputc(i < filled ? '#' : '.', stderr);
    fprintf(stderr, "] %3d/%zu inputs", (int)done, progress->total);
    if (fresh > 0 && elapsed > 0) {
        const double left = (total - done) * elapsed / fresh;
        fprintf(stderr, "  %.2g/s  %d:%02d left", fresh / elapsed, (int)left / 60, (int)left % 60);
    }
    fputs("\033[K", stderr);
    fflush(stderr);
    progress->drawn = true;
}

void progress_clear(struct progress *progress) {
    if (!progress->drawn) return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    progress->drawn = false;
}
