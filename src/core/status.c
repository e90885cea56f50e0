#include "core/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void replace_control_characters(char *text) {
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) *text = '?';
    }
}

int status_fail(vdt_error *error, vdt_status status, const char *format, ...) {
    if (!error || error->status != VDT_OK) return status;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    replace_control_characters(error->message);
    error->status = status;
    return status;
}

int status_prefix(vdt_error *error, int status, const char *prefix) {
    if (!error || error->status == VDT_OK) return status;
    char message[sizeof error->message];
    memcpy(message, error->message, sizeof message);
    const vdt_status first = error->status;
    error->status = VDT_OK;
    return status_fail(error, first, "%s: %s", prefix, message);
}

const char *vdt_status_name(vdt_status status) {
    switch (status) {
    case VDT_OK: return "ok";
    case VDT_END: return "end";
    case VDT_ERROR_ARGUMENT: return "argument";
    case VDT_ERROR_MEMORY: return "memory";
    case VDT_ERROR_IO: return "io";
    case VDT_ERROR_FORMAT: return "format";
    case VDT_ERROR_UNSUPPORTED: return "unsupported";
    case VDT_ERROR_NUMERIC: return "numeric";
    case VDT_ERROR_CANCELLED: return "cancelled";
    case VDT_ERROR_LIBRARY: return "library";
    }
    return "unknown";
}

const char *vdt_version(void) {
    return VDT_VERSION;
}
