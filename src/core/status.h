// Status codes and error messages.
//
// Every function of the library that can fail returns an `int` holding a vdt_status (0 for success)
// and takes a vdt_error that may be NULL. The first error wins: once a vdt_error holds a failure,
// later messages leave it alone, so that a cleanup path cannot hide the cause. Messages name the
// thing, what was expected and what was found. This file formats; it never prints.
#ifndef VIDETTE_CORE_STATUS_H
#define VIDETTE_CORE_STATUS_H

#include <vidette/vidette.h>

// Fills `error` if it is still empty and returns `status`. The message is cut to fit, control
// characters in it (file names and tensor names come from outside) become '?'.
int status_fail(vdt_error *error, vdt_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Puts "PREFIX: " before the message of a failed `error`. Returns the error's status, or `status`
// where it is NULL.
int status_prefix(vdt_error *error, int status, const char *prefix);

#endif
