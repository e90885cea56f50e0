#include "numbers.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

bool take_integer(const char **text, uint64_t max, uint64_t *out) {
    char *end;
    errno = 0;
    if (**text < '0' || **text > '9') return false;
    const unsigned long long value = strtoull(*text, &end, 10);
    if (errno || value > max) return false;
    *text = end;
    *out = value;
    return true;
}

bool take_number(const char **text, double *out) {
    char *end;
    const double value = strtod(*text, &end);
    if (end == *text || !isfinite(value)) return false;
    *text = end;
    *out = value;
    return true;
}

bool parse_unsigned(const char *text, unsigned max, unsigned *out) {
    uint64_t value;
    if (!take_integer(&text, max, &value) || *text) return false;
    *out = (unsigned)value;
    return true;
}

bool parse_number(const char *text, double *out) {
    double value;
    if (!take_number(&text, &value) || *text || value < 0.0) return false;
    *out = value;
    return true;
}
