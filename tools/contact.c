#include "contact.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int contact_open(struct contact *contact, const vdt_session_shape_info *shape,
                 struct update_map *map) {
    *contact = (struct contact){.map = map, .row = 3 * (size_t)shape->width, .rows = shape->height};
    contact->pixels = calloc(CONTACT_MOST * contact->rows, contact->row);
    contact->clip = (vdt_clip){contact->pixels, contact->row, contact->row * contact->rows};
    contact_start(contact);
    if (contact->pixels) return 0;
    fprintf(stderr, "vidette: out of memory\n");
    return -1;
}

void contact_close(struct contact *contact) {
    free(contact->pixels);
    *contact = (struct contact){0};
}

void contact_start(struct contact *contact) {
    contact->n = 0;
    contact->seen = 0;
    contact->stride = 1;
}

// Slot `to` becomes what slot `from` is.
static void copy(struct contact *contact, uint32_t to, uint32_t from) {
    const size_t bytes = contact->clip.frame_stride;
    if (to == from) return;
    memcpy(contact->pixels + to * bytes, contact->pixels + from * bytes, bytes);
    update_map_copy(contact->map, to, from);
    contact->times[to] = contact->times[from];
    contact->numbers[to] = contact->numbers[from];
}

static void thin_out(struct contact *contact) {
    contact->n = CONTACT_MOST / 2;
    contact->stride *= 2;
    for (uint32_t i = 0; i < contact->n; i++) copy(contact, i, 2 * i);
}

void contact_add(struct contact *contact, const vdt_clip *clip, double time,
                 const vdt_stream_info *info, const vdt_updated *updated) {
    const uint64_t number = contact->seen++;
    if (number % contact->stride != 0) return;
    if (contact->n == CONTACT_MOST) thin_out(contact);
    if (number % contact->stride != 0) return;
    uint8_t *pixels = contact->pixels + contact->n * contact->clip.frame_stride;
    for (size_t y = 0; y < contact->rows; y++)
        memcpy(pixels + y * contact->row, clip->pixels + y * clip->row_stride, contact->row);
    update_map_set(contact->map, contact->n, info, updated);
    contact->times[contact->n] = time;
    contact->numbers[contact->n++] = number;
}

void contact_choose(struct contact *contact, uint32_t most) {
    if (contact->n <= most) return;
    for (uint32_t i = 0; i < most; i++) copy(contact, i, (2 * i + 1) * contact->n / (2 * most));
    contact->n = most;
}
