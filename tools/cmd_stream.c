#include "commands.h"
int stream_run(const struct settings *settings) {
    (void)settings;
    return EXIT_FAILED;
}
