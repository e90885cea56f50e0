// Numbers as users type them.
#ifndef VIDETTE_TOOLS_NUMBERS_H
#define VIDETTE_TOOLS_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>

// The number that *text begins with, which moves behind it: digits of at most `max`; a finite number.
bool take_integer(const char **text, uint64_t max, uint64_t *out);
bool take_number(const char **text, double *out);

// All of text: digits of at most `max`; a finite number >= 0.
bool parse_unsigned(const char *text, unsigned max, unsigned *out);
bool parse_number(const char *text, double *out);

#endif
